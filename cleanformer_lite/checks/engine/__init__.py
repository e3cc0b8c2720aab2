"""How an answer is tried: calls made from a seed, what was observed, and what a right one does."""
