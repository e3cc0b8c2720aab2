"""The exercises, by chapter, in the order of the book."""

from cleanformer_lite.checks.course import (
    fused_heads,
    looped_heads,
    registration_bug,
    single_head,
    sliced_heads,
    split_heads,
    transformer,
)
from cleanformer_lite.checks.exercise import Exercise

CHAPTERS = (
    single_head,
    registration_bug,
    looped_heads,
    split_heads,
    sliced_heads,
    fused_heads,
    transformer,
)
EXERCISES: dict[str, Exercise] = {
    exercise.id: exercise for chapter in CHAPTERS for exercise in chapter.EXERCISES
}
