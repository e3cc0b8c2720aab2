"""A Transformer on one drawing: what goes where between the syllables and the next piece."""

import re

from cleanformer_lite.viewers.picture import COLOURS, STYLE, Picture

WIDTH, HEIGHT = 372, 500
ENCODER, DECODER = 88, 284  # the middles of the two columns
HALF = 66  # of a box's width
WORDS = (
    "A Transformer, read from below. Left, the encoder: syllables become embeddings with marks of "
    "position, then twice self-attention and feed-forward, then a norm. Right, the decoder: the "
    "pieces so far become embeddings with marks, then twice causal self-attention, "
    "cross-attention and feed-forward, then a norm and the read-out, which gives the next piece. "
    "Cross-attention takes its queries from the decoder, keys and values from the encoder. Every "
    "part adds its output to what it was given."
)


def draw_transformer() -> Picture:
    """Draw encoder, decoder and the three places where attention stands."""
    middle = 222  # the height at which the memory crosses over
    parts = [
        *_column(ENCODER, "the syllables", [("self-attention", 330), ("feed-forward", 270)], 232),
        *_column(
            DECODER,
            "the pieces so far",
            [("causal self-attention", 330), ("cross-attention", middle), ("feed-forward", 150)],
            112,
        ),
        _text(ENCODER - HALF - 8, 250, "× 2", "start"),
        _text(DECODER - HALF - 8, 130, "× 2", "start"),
        *_box(ENCODER, 194, "norm"),
        _line(ENCODER, 239, ENCODER, 210),
        # (encoder's output) -> keys and values of cross-attention
        _path(f"M{ENCODER} 180V144H{DECODER - HALF - 24}V{middle - 6}H{DECODER - HALF - 2}", "key"),
        _path(
            f"M{ENCODER} 180V152H{DECODER - HALF - 32}V{middle + 6}H{DECODER - HALF - 2}", "value"
        ),
        _text(ENCODER, 138, "keys", "end", "key", 4),
        _text(ENCODER, 138, "and values", "start", "value", 8),
        _text(DECODER - 8, middle + 58, "queries", "end", "query"),
        *_box(DECODER, 84, "norm"),
        _line(DECODER, 119, DECODER, 100),
        *_box(DECODER, 40, "read-out"),
        _line(DECODER, 70, DECODER, 54),
        _line(DECODER, 26, DECODER, 20),
        _text(DECODER, 14, "the next piece"),
    ]
    return Picture(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH * 1.2:.0f}" role="img" '
        f'aria-label="{WORDS}" fill="currentColor" font-size="14" style="{STYLE}">'
        + "".join(parts)
        + "</svg>",
        WORDS,
    )


def _column(x: int, begins: str, blocks: list[tuple[str, int]], top: int) -> list[str]:
    """Draw one column from its input up through its block, residuals beside it."""
    drawn = [
        _text(x, HEIGHT - 8, begins),
        _line(x, HEIGHT - 24, x, 456),
        *_box(x, 442, "embedding"),
        _line(x, 428, x, 408),
        *_box(x, 394, "+ position"),
        f'<rect x="{x - HALF - 14}" y="{top}" width="{2 * HALF + 28}" height="{368 - top}" rx="8" '
        'fill="none" stroke="currentColor" stroke-dasharray="4 4" stroke-opacity="0.6"/>',
    ]
    below = 380
    for name, y in blocks:
        colour = "query" if name == "cross-attention" else ""
        drawn.append(_line(x, below, x, y + 16, colour))
        drawn += _box(x, y, name)
        # The residual leads round the box and is added above it.
        side = x + HALF + 7
        drawn.append(
            _path(f"M{x} {y + 24}H{side}V{y - 24}H{x + 8}", "", arrow=True)
            + f'<circle cx="{x}" cy="{y - 24}" r="7" fill="none" stroke="currentColor"/>'
            + f'<path d="M{x - 4} {y - 24}h8M{x} {y - 28}v8" stroke="currentColor"/>'
            + _line(x, y - 14, x, y - 17, head=False)
        )
        below = y - 31
    return drawn


def _box(x: int, y: int, text: str) -> list[str]:
    return [
        f'<rect x="{x - HALF}" y="{y - 14}" width="{2 * HALF}" height="28" rx="5" fill="none" '
        'stroke="currentColor"/>',
        _text(x, y + 5, text, size=13),
    ]


def _text(
    x: int, y: int, text: str, anchor: str = "middle", colour: str = "", shift: int = 0,
    size: int = 14,
) -> str:  # fmt: skip
    at = x - shift if anchor == "end" else x + shift
    return (
        f'<text x="{at}" y="{y}" text-anchor="{anchor}" font-size="{size}"{_fill(colour)}>'
        f"{text}</text>"
    )


def _line(x1: int, y1: int, x2: int, y2: int, colour: str = "", *, head: bool = True) -> str:
    return _path(f"M{x1} {y1}L{x2} {y2}", colour, arrow=head)


def _path(way: str, colour: str, *, arrow: bool = True) -> str:
    """Draw a way of straight lines; an arrow's head is drawn at its end, in its direction."""
    ink = f"var(--{colour}, {COLOURS[colour]})" if colour else "currentColor"
    drawn = f'<path d="{way}" fill="none" stroke="{ink}" stroke-width="1.4"/>'
    if not arrow:
        return drawn
    x, y, dx, dy = _end(way)
    wings = (
        f"{x - 6 * dx - 4 * dy},{y - 6 * dy - 4 * dx} {x - 6 * dx + 4 * dy},{y - 6 * dy + 4 * dx}"
    )
    return drawn + f'<polygon points="{x},{y} {wings}" fill="{ink}"/>'


def _end(way: str) -> tuple[int, int, int, int]:
    """Follow a way to its end; return that and the direction of its last stretch."""
    x = y = dx = dy = 0
    for step, first, second in re.findall(r"([MLHV])(-?\d+)(?: (-?\d+))?", way):
        to_x = x if step == "V" else int(first)
        to_y = int(first) if step == "V" else y if step == "H" else int(second)
        dx, dy = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
        x, y = to_x, to_y
    return x, y, dx, dy


def _fill(colour: str) -> str:
    return f' fill="var(--{colour}, {COLOURS[colour]})"' if colour else ""
