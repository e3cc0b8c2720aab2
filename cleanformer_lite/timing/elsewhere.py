"""The one public measurement of these variants on a GPU: somebody else's, until ours is made."""

_MILLISECONDS = {
    "loop": 4.68,
    "split": 3.08,
    "one product for q, k and v": 3.81,
    "fused kernel": 1.10,
    "nn.MultiheadAttention": 3.04,
}


def measured_elsewhere() -> str:
    """Cite that measurement, with its machine, its sizes and what is unequal in it.

    Source: https://github.com/rasbt/LLMs-from-scratch, ch03/02_bonus_efficient-multihead-attention
    """
    times = ", ".join(f"{name} {time:.2f} ms" for name, time in _MILLISECONDS.items())
    return (
        "Measured by somebody else (Sebastian Raschka, LLMs-from-scratch, chapter 3), on an A100 "
        f"at N = 8, L = 1024, E = 768, H = 12, forward: {times}. "
        "The variants there do not share their weights."
    )
