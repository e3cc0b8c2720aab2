"""The exercises, by chapter, in the order of the book."""

from cleanformer_lite.checks.course import (
    fused_forward,
    fused_heads,
    looped_heads,
    registration_bug,
    repairs,
    single_head,
    sliced_heads,
    sliced_module,
    split_heads,
    transformer,
)
from cleanformer_lite.checks.exercise import Exercise

_IN_ORDER = (
    single_head,
    registration_bug,
    looped_heads,
    *(split_heads, repairs),
    *(sliced_heads, sliced_module),
    *(fused_heads, fused_forward),
    transformer,
)
EXERCISES: dict[str, Exercise] = {
    exercise.id: exercise for declared in _IN_ORDER for exercise in declared.EXERCISES
}
