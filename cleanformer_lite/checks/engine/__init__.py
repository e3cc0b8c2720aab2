"""Try an answer on inputs made from a seed, and compare what it does with a right answer."""
