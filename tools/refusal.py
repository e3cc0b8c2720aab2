"""What a generator says of a source that it cannot turn into a notebook."""


class RefusalError(ValueError):
    """Names the file, the line and what stands there."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
