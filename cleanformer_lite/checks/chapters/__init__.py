"""The exercises, by chapter, in the order of the book."""

from cleanformer_lite.checks.chapters import split_heads
from cleanformer_lite.checks.exercise import Exercise

EXERCISES: dict[str, Exercise] = {
    exercise.id: exercise for chapter in (split_heads,) for exercise in chapter.EXERCISES
}
