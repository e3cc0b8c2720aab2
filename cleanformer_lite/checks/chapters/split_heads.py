"""Exercises of the chapter on splitting: two reshapes, a module, and modules to repair."""

from cleanformer_lite.checks.chapters.split_heads_from_loop import FROM_LOOP
from cleanformer_lite.checks.chapters.split_heads_repairs import REPAIRS
from cleanformer_lite.checks.chapters.split_heads_reshape import MERGE, SPLIT
from cleanformer_lite.checks.exercise import Exercise
from cleanformer_lite.checks.module_probe import ModuleProbe

MODULE = Exercise(
    id="split_heads.module",
    title="The whole split module",
    entry_point="SplitHeads",
    prompt=(
        "Write `class SplitHeads(nn.Module)`: `(embed_dim, num_heads, dropout=0.0)` and "
        "`forward(x, attn_mask=None, is_causal=False) -> (output, weights)`. `output` is "
        "`(N, L, E)`, `weights` is `(N, H, L, L)`. Query, key, value and output projection map E "
        "to E, with bias or without. Masks are boolean, True = may attend, broadcastable to "
        "`(N, H, L, L)`; a mask and `is_causal` may come together. A query that may attend to "
        "nothing gets weights of zero. Dropout falls on the weights, in training alone."
    ),
    starter=(
        "class SplitHeads(nn.Module):\n"
        "    def __init__(self, embed_dim, num_heads, dropout=0.0):\n"
        "        super().__init__()\n"
        "        raise NotImplementedError\n\n"
        "    def forward(self, x, attn_mask=None, is_causal=False):\n"
        "        raise NotImplementedError\n"
    ),
    hints=(
        "Project, split, attend, merge, project. You have the second and the fourth from the "
        "exercises before.",
        "Masks act on the scores, before the softmax; the scale is the root of D, not of E; what "
        "the softmax gives to a row that is blocked entirely has to be set to zero.",
        "`scores = q @ k.transpose(-2, -1) / D**0.5`, "
        "`scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)`, `softmax(dim=-1)`, "
        "`masked_fill(~allowed, 0.0)`, `F.dropout(weights, self.dropout, self.training)`, "
        "`merge_heads(weights @ v)`, then the output projection.",
    ),
    points=5,
    minutes=25,
    difficulty=3,
    probe=ModuleProbe(),
)

EXERCISES = (SPLIT, MERGE, FROM_LOOP, MODULE, *REPAIRS)
