"""Four broken modules, after bugs of public repositories, in our own words: repair them."""

from cleanformer_lite.checks.engine.module_probe import ModuleProbe
from cleanformer_lite.checks.engine.trials import Contract
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.mistakes import MISTAKES

TOP = """\
class {name}(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, attn_mask=None):
        batch, length, embed_dim = x.shape
        heads = (batch, length, self.num_heads, embed_dim // self.num_heads)
        query = self.q_proj(x).view(heads).transpose(1, 2)
        key = self.k_proj(x).view(heads).transpose(1, 2)
        value = self.v_proj(x).view(heads).transpose(1, 2)
"""
SCORES = "        scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5\n"
MASK = """\
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
"""
SOFTMAX = "        weights = torch.softmax(scores, dim=-1)\n"
BLIND = """\
        if attn_mask is not None:
            weights = weights.masked_fill(~attn_mask, 0.0)
"""
MERGE = "        merged = (weights @ value).transpose(1, 2).reshape(batch, length, embed_dim)\n"
BOTTOM = "        return self.out_proj(merged), weights\n"

BROKEN_MERGE = "        merged = (weights @ value).reshape(batch, length, embed_dim)\n"
BROKEN_SOFTMAX = "        weights = torch.softmax(scores, dim=-2)\n"
BROKEN_REPEAT = """\
        if attn_mask is not None:  # (N, 1, 1, L), one row for each sample
            flat = attn_mask.expand(batch, 1, length, length).reshape(batch, length, length)
            attn_mask = flat.repeat(self.num_heads, 1, 1).view(scores.shape)
"""
NARROW = """\
class RepairedNarrow(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        head_dim = embed_dim // num_heads
        self.q_proj = nn.Linear(head_dim, head_dim)
        self.k_proj = nn.Linear(head_dim, head_dim)
        self.v_proj = nn.Linear(head_dim, head_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x, attn_mask=None):
        batch, length, embed_dim = x.shape
        split = x.view(batch, length, self.num_heads, -1).transpose(1, 2)
        query, key, value = self.q_proj(split), self.k_proj(split), self.v_proj(split)
"""


def repair(
    word: str, prompt: str, starter: str, hints: tuple[str, str, str], contract: Contract
) -> Exercise:
    """Declare a repair: its starter is a module that runs and is wrong."""
    return Exercise(
        id=f"split_heads.repair_{word}",
        title=f"Repair a module: {word}",
        entry_point=f"Repaired{word.capitalize()}",
        prompt=prompt,
        starter=starter,
        hints=hints,
        points=2,
        minutes=8,
        difficulty=2,
        probe=ModuleProbe(MISTAKES, contract),
    )


WITHOUT_MASKS = Contract(masks=False, causal=False, dropout=False)
WITH_KEY_MASKS = Contract(any_masks=False, causal=False, dropout=False)

EXERCISES = (
    repair(
        "merge",
        "The copy task trains well with this module, translation does not. Shapes are right. Find "
        "the line, and repair it in `RepairedMerge`.",
        TOP.format(name="RepairedMerge") + SCORES + SOFTMAX + BROKEN_MERGE + BOTTOM,
        (
            "Give it one sentence, then the same sentence with two words exchanged.",
            "Follow one token's numbers through the last reshape.",
            "`.transpose(1, 2)` before `.reshape(batch, length, embed_dim)`.",
        ),
        WITHOUT_MASKS,
    ),
    repair(
        "softmax",
        "Metrics look as always, but some queries get far more than their share. Find the line, "
        "and repair it in `RepairedSoftmax`.",
        TOP.format(name="RepairedSoftmax") + SCORES + BROKEN_SOFTMAX + MERGE + BOTTOM,
        (
            "Add up the weights of one query.",
            "Which axis of `(N, H, L, S)` are the keys?",
            "`torch.softmax(scores, dim=-1)`",
        ),
        WITHOUT_MASKS,
    ),
    repair(
        "padding",
        "With one sentence at a time this module is right; in a batch of unequal lengths it is "
        "not. Find the line, and repair it in `RepairedPadding`.",
        TOP.format(name="RepairedPadding")
        + SCORES
        + BROKEN_REPEAT
        + MASK
        + SOFTMAX
        + BLIND
        + MERGE
        + BOTTOM,
        (
            "Compare a sentence alone with the same sentence in a batch.",
            "In which order does `repeat` lay out samples and heads? In which order does `view` "
            "read them?",
            "Leave the mask as it is: `(N, 1, 1, L)` broadcasts to `(N, H, L, L)`. Or use "
            "`repeat_interleave`.",
        ),
        WITH_KEY_MASKS,
    ),
    repair(
        "narrow",
        "This module learns, and never gets as good as it should. Count its weights. Find out what "
        "a head can see, and repair it in `RepairedNarrow`: four projections of E to E.",
        NARROW + SCORES + SOFTMAX + MERGE + BOTTOM,
        (
            "Change one input feature. Whose map moves?",
            "What comes first here, the split or the projection?",
            "Project with `nn.Linear(embed_dim, embed_dim)`, then split the result.",
        ),
        WITHOUT_MASKS,
    ),
)
