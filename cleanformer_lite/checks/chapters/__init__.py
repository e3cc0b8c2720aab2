"""The exercises, by chapter, in the order of the book."""

from cleanformer_lite.checks.chapters import (
    looped_heads,
    registration_bug,
    single_head,
    split_heads,
)
from cleanformer_lite.checks.exercise import Exercise

EXERCISES: dict[str, Exercise] = {
    exercise.id: exercise
    for chapter in (single_head, registration_bug, looped_heads, split_heads)
    for exercise in chapter.EXERCISES
}
