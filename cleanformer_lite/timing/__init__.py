"""Counting and timing attention variants, and saying on what they were counted and timed."""

from cleanformer_lite.timing.compare import Comparison, compare
from cleanformer_lite.timing.memory import peak_memory
from cleanformer_lite.timing.operators import OperatorCount, count_operators

__all__ = ["Comparison", "OperatorCount", "compare", "count_operators", "peak_memory"]
