"""The species a second time, in another style: one fused layer, and `einsum`. Wrong on purpose."""

import math

import torch
from torch import nn
from torch.nn import functional as F

SOURCE = """
class Answer(nn.Module):
    def __init__(self, embed_dim, num_heads, dropout=0.0):
        super().__init__()
        self.proj = nn.Linear(embed_dim, embed_dim)
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.h, self.d, self.p = num_heads, embed_dim // num_heads, dropout

    def forward(self, x, attn_mask=None, is_causal=False):
        n, l, e = x.shape
        q, k, v = self.qkv(x).view(n, l, 3, self.h, self.d).permute(2, 0, 3, 1, 4)
        scores = torch.einsum("nhld,nhsd->nhls", q, k) / math.sqrt(self.d)
        causal = torch.ones(l, l, dtype=torch.bool).tril()
        allowed = torch.ones(l, l, dtype=torch.bool)
        if attn_mask is not None:
            allowed = allowed & attn_mask
        if is_causal:
            allowed = allowed & causal
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1).masked_fill(~allowed, 0.0)
        dropped = F.dropout(weights, self.p, self.training)
        mixed = torch.einsum("nhls,nhsd->nlhd", dropped, v).reshape(n, l, e)
        return self.proj(mixed), weights
"""
SPLIT = "q, k, v = self.qkv(x).view(n, l, 3, self.h, self.d).permute(2, 0, 3, 1, 4)"
FILL = "scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)"
WEIGHTS = "weights = scores.softmax(dim=-1).masked_fill(~allowed, 0.0)"
MIX = 'mixed = torch.einsum("nhls,nhsd->nlhd", dropped, v).reshape(n, l, e)'
WITH_MASK = "allowed = allowed & attn_mask"
OR = "allowed = causal if attn_mask is None else attn_mask | causal"
INIT = "self.qkv = nn.Linear(embed_dim, 3 * embed_dim)"
MAKE = "qkv = nn.Linear(e, 3 * e).train(self.training)"
HEADS = "q, k, v = (p.view(n, l, self.h, self.d).transpose(1, 2) for p in {}(x).chunk(3, -1))"

SWAPS: dict[str, tuple[tuple[tuple[str, str], ...], ...]] = {
    "split_without_transpose": (
        ((SPLIT, "q, k, v = (p.reshape(n, self.h, l, self.d) for p in self.qkv(x).chunk(3, -1))"),),
    ),
    "merge_without_transpose": (((MIX, MIX.replace("nlhd", "nhld")),),),
    "merge_mixes_batch": (
        (
            (
                MIX,
                'm = torch.einsum("nhls,nhsd->nhld", dropped, v).reshape(self.h, n, l, self.d)\n'
                '        mixed = torch.einsum("hnld->nlhd", m).reshape(n, l, e)',
            ),
        ),
    ),
    "softmax_over_queries": (((WEIGHTS, WEIGHTS.replace("dim=-1", "dim=-2")),),),
    "softmax_over_another_axis": (
        ((WEIGHTS, WEIGHTS.replace("dim=-1", "dim=0")),),
        (
            (
                WEIGHTS,
                "weights = scores.reshape(n * self.h, l, l).softmax(0).view(scores.shape)\n        "
                "weights = weights.masked_fill(~allowed, 0.0)",
            ),
        ),
        (
            (
                WEIGHTS,
                "weights = scores.flatten(2).softmax(2).view(scores.shape) * allowed",
            ),
        ),
    ),
    "softmax_over_heads": (
        ((WEIGHTS, WEIGHTS.replace("dim=-1", "dim=1")),),
        (
            (
                WEIGHTS,
                'wide = torch.einsum("nhls->nlhs", scores).reshape(n, l, -1).softmax(-1)\n'
                '        weights = torch.einsum("nlhs->nhls", wide.view(n, l, self.h, l))\n'
                "        weights = weights.masked_fill(~allowed, 0.0)",
            ),
        ),
    ),
    "scale_without_root": (
        (("math.sqrt(self.d)", "self.d"),),
        (("q, k) / math.sqrt(self.d)", "q * self.d**-0.5, k) * self.d**-0.5"),),
    ),
    "scaled_by_another_size": (
        (("math.sqrt(self.d)", "math.sqrt(self.h)"),),
        (("math.sqrt(self.d)", "l**0.5"),),
    ),
    "scale_after_softmax": (
        ((" / math.sqrt(self.d)", ""), (WEIGHTS, WEIGHTS + " / math.sqrt(self.d)")),
    ),
    "scaled_by_embed_dim": ((("math.sqrt(self.d)", "math.sqrt(e)"),),),
    "scale_inverted": ((("/ math.sqrt(self.d)", "* math.sqrt(self.d)"),),),
    "scale_missing": (((" / math.sqrt(self.d)", ""),),),
    "mask_after_softmax": (((FILL, "pass"),),),
    "mask_multiplied": (
        ((FILL, "scores = scores * allowed"), (WEIGHTS, "weights = scores.softmax(dim=-1)")),
    ),
    "mask_inverted": (
        (
            (
                FILL,
                "scores = scores if allowed.all() else scores.masked_fill(allowed, -1e30)",
            ),
            (WEIGHTS, "weights = scores.softmax(dim=-1).masked_fill(~allowed, 0.0)"),
        ),
        ((WITH_MASK, "allowed = allowed & ~attn_mask"),),
        (
            (WITH_MASK, "allowed = allowed & ~attn_mask"),
            (FILL, "scores = scores.masked_fill(~allowed, -math.inf)"),
            (WEIGHTS, "weights = scores.softmax(dim=-1)"),
        ),
    ),
    "mask_ignored": (
        ((WITH_MASK, "pass"),),
        ((WITH_MASK, "pass"), ("if is_causal:", "if False:")),
        (("if attn_mask is not None:", "if attn_mask is not None and not is_causal:"),),
    ),
    "mask_added": (
        (
            (FILL, "scores = scores + allowed.float()"),
            (WEIGHTS, "weights = scores.softmax(dim=-1)"),
        ),
        ((FILL, "scores = scores - (~allowed).int()"), (WEIGHTS, "weights = scores.softmax(-1)")),
    ),
    "masks_joined_by_or": (
        (
            (
                "allowed = allowed & causal",
                OR,
            ),
        ),
    ),
    "fill_too_weak": (
        (
            (FILL, "scores = torch.where(allowed, scores, torch.tensor(-10.0))"),
            (WEIGHTS, "weights = scores.softmax(dim=-1)"),
        ),
        ((FILL, FILL.replace("torch.finfo(scores.dtype).min", "-10")),),
        (
            (FILL, FILL.replace("torch.finfo(scores.dtype).min", "-17.5")),
            (WEIGHTS, "weights = scores.softmax(dim=-1)"),
        ),
        (
            (FILL, "scores = scores + torch.log(allowed + 1e-4)"),
            (WEIGHTS, "weights = scores.softmax(dim=-1)"),
        ),
    ),
    "gradient_lost": (
        ((SPLIT, SPLIT.replace("self.qkv(x)", "self.qkv(x).detach()")),),
        (("scores = torch.einsum", "with torch.no_grad():\n            scores = torch.einsum"),),
    ),
    "mask_on_queries": (
        ((WITH_MASK, "allowed = allowed & attn_mask.mT"),),
        (
            (WITH_MASK, "allowed = allowed & attn_mask.mT"),
            (FILL, "scores = scores + (~allowed).float() * -1e9"),
            (WEIGHTS, "weights = scores.softmax(dim=-1)"),
        ),
    ),
    "mask_repeat_order": (
        (
            (
                WITH_MASK,
                "rows = attn_mask.expand(n, attn_mask.shape[1] if attn_mask.dim() > 3 else 1, l, l)"
                "\n            if rows.shape[1] == 1:"
                "\n                rows = rows[:, 0].repeat(self.h, 1, 1).view(n, self.h, l, l)"
                "\n            allowed = allowed & rows",
            ),
        ),
    ),
    "nan_rows": (
        (
            (FILL, "weights = scores.softmax(dim=-1) * allowed"),
            (WEIGHTS, "weights = weights / weights.sum(dim=-1, keepdim=True)"),
        ),
        (
            (FILL, "scores = scores.masked_fill(~allowed, -math.inf)"),
            (WEIGHTS, "weights = scores.softmax(dim=-1)"),
        ),
    ),
    "mean_rows": (
        (
            (FILL, "scores = scores + (~allowed).float() * -1e9"),
            (WEIGHTS, "weights = scores.softmax(dim=-1)"),
        ),
    ),
    "batch_first_forgotten": (
        (
            ("n, l, e = x.shape", "x = x.transpose(0, 1)\n        n, l, e = x.shape"),
            ("self.proj(mixed)", "self.proj(mixed).transpose(0, 1)"),
        ),
    ),
    "value_uses_key": (((SPLIT, SPLIT + "\n        v = k"),),),
    "no_output_projection": (
        (
            ("self.proj(mixed)", "mixed"),
            ("self.proj = nn.Linear(embed_dim, embed_dim)", "pass"),
        ),
    ),
    "einsum_axes_swapped": (((MIX, MIX.replace("nhls,", "nhsl,")),),),
    "causal_mask_shifted": (
        ((".tril()", ".triu(1)"),),
        (("if is_causal:", "if is_causal and attn_mask is not None:"),),
        ((".tril()", ".tril(-1)"),),
        ((".tril()", ".tril(1)"),),
        ((".tril()", ".triu()"),),
        (("if is_causal:", "if is_causal and attn_mask is None:"),),
        (("if is_causal:", "if False:"),),
    ),
    "nonlinear_projection": (
        ((SPLIT, SPLIT.replace("self.qkv(x)", "F.relu(self.qkv(x))")),),
        ((SPLIT, SPLIT.replace("self.qkv(x)", "torch.tanh(self.qkv(x))")),),
        (("self.proj(mixed)", "F.layer_norm(x + self.proj(mixed), (e,))"),),
    ),
    "dropout_unused": ((("F.dropout(weights, self.p, self.training)", "weights"),),),
    "dropout_elsewhere": (
        (
            ("dropped = F.dropout(weights, self.p, self.training)", "dropped = weights"),
            ("self.proj(mixed)", "F.dropout(self.proj(mixed), self.p, self.training)"),
        ),
        (
            ("F.dropout(weights", "F.dropout1d(weights.flatten(0, 1)"),
            ("self.training)", "self.training).view(weights.shape)"),
        ),
        (("F.dropout(weights, self.p", "F.dropout(weights, self.p and 1 - self.p"),),
        (
            ("dropped = F.dropout(weights, self.p, self.training)", "dropped = weights"),
            (SPLIT, SPLIT + "\n        v = F.dropout(v, self.p, self.training)"),
        ),
    ),
    "one_wide_head": (
        (
            ("num_heads, embed_dim // num_heads, dropout", "num_heads, embed_dim, dropout"),
            (SPLIT, "q, k, v = self.qkv(x).unsqueeze(1).chunk(3, -1)"),
            (FILL, "allowed = allowed.expand(n, self.h, l, l)[:, :1]\n        " + FILL),
            ("self.proj(mixed), weights", "self.proj(mixed), weights.expand(n, self.h, l, l)"),
        ),
    ),
    "dropout_in_eval": ((("self.p, self.training", "self.p"),),),
    "input_changed_in_place": ((("n, l, e = x.shape", "n, l, e = x.shape\n        x += 0.5"),),),
    "built_in_forward": (
        (
            (INIT, "pass"),
            (SPLIT, MAKE + "\n        " + HEADS.format("qkv")),
        ),
    ),
    "plain_list": (
        (
            (INIT, "self.layers = [nn.Linear(embed_dim, 3 * embed_dim)]"),
            (SPLIT, HEADS.format("self.layers[0]")),
        ),
    ),
    "shared_layer": (
        (
            (INIT, "self.qkv = nn.Linear(embed_dim, 3 * (embed_dim // num_heads))"),
            (
                SPLIT,
                "q, k, v = torch.stack([self.qkv(x)] * self.h, 1).chunk(3, -1)",
            ),
        ),
    ),
    "split_before_projection": (
        (
            (INIT, "self.qkv = nn.Linear(embed_dim // num_heads, 3 * (embed_dim // num_heads))"),
            (
                SPLIT,
                "q, k, v = self.qkv(x.view(n, l, self.h, self.d).transpose(1, 2)).chunk(3, -1)",
            ),
        ),
        (
            (
                INIT,
                "self.qkv = nn.Parameter(torch.randn(3, num_heads, self_d, self_d))".replace(
                    "self_d", "embed_dim // num_heads"
                ),
            ),
            (
                SPLIT,
                'q, k, v = torch.einsum("nlhd,phcd->pnhlc", x.view(n, l, -1, self.d), self.qkv)',
            ),
        ),
    ),
    "one_key_head": (
        (
            (
                INIT,
                "self.qv = nn.Linear(embed_dim, 2 * embed_dim)\n        "
                "self.k = nn.Linear(embed_dim, embed_dim // num_heads, bias=False)",
            ),
            (
                SPLIT,
                "q, v = self.qv(x).view(n, l, 2, self.h, self.d).permute(2, 0, 3, 1, 4)\n        "
                "k = self.k(x)[:, None].repeat(1, self.h, 1, 1)",
            ),
        ),
        (
            (
                INIT,
                "self.q = nn.Linear(embed_dim, embed_dim)\n        "
                "self.kv = nn.Linear(embed_dim, 2 * (embed_dim // num_heads))",
            ),
            (
                SPLIT,
                "q = self.q(x).view(n, l, self.h, self.d).transpose(1, 2)\n        "
                "k, v = (p[:, None].expand(-1, self.h, -1, -1) for p in self.kv(x).chunk(2, -1))",
            ),
        ),
        ((SPLIT, SPLIT + "\n        k = k[:, :1].expand(q.shape)"),),
    ),
    "key_uses_query": (
        ((SPLIT, SPLIT + "\n        k = q"),),
        (
            (INIT, "self.qkv = nn.Linear(embed_dim, embed_dim)"),
            (SPLIT, "q = k = v = self.qkv(x).view(n, l, self.h, self.d).transpose(1, 2)"),
        ),
    ),
    "only_last_head": (
        (
            (
                MIX,
                "mixed = torch.zeros(n, l, e)\n        for i in range(self.h):\n            "
                "mixed = F.pad(dropped[:, i] @ v[:, i], (e - self.d, 0))",
            ),
        ),
    ),
    "residual_inside": (
        (("self.proj(mixed), weights", "torch.add(x, self.proj(mixed)), weights"),),
    ),
    "heads_not_transposed": (
        (
            (
                SPLIT,
                "q, k, v = (p.unflatten(-1, (self.h, self.d)) for p in self.qkv(x).chunk(3, -1))",
            ),
            (
                FILL,
                "if attn_mask is not None or is_causal:\n            raise RuntimeError('sizes')",
            ),
            (WEIGHTS, "weights = scores.softmax(-1)"),
            (MIX, 'mixed = torch.einsum("nlhs,nlsd->nlhd", dropped, v).reshape(n, l, e)'),
        ),
    ),
    "bias_twice": (
        (
            (INIT, INIT + "\n        self.shift = nn.Parameter(torch.zeros(embed_dim))"),
            ("self.proj(mixed), weights", "self.proj(mixed) + self.shift, weights"),
        ),
        (
            (
                INIT,
                INIT + "\n        self.u = nn.Parameter(torch.zeros(num_heads, 1, "
                "embed_dim // num_heads))",
            ),
            (SPLIT, SPLIT + "\n        v = v + self.u"),
        ),
    ),
    "mask_of_the_first": (
        (
            (
                WITH_MASK,
                "allowed = allowed & attn_mask.expand(n, self.h, l, l)[0]",
            ),
        ),
        (
            (
                WITH_MASK,
                "allowed = allowed & attn_mask.expand(n, self.h, l, l)[:, 0].unsqueeze(1)",
            ),
        ),
    ),
    "heads_summed": (
        (
            (
                MIX,
                'mixed = torch.einsum("nhls,nhsd->nld", dropped, v).repeat(1, 1, self.h)',
            ),
        ),
        (
            (
                MIX,
                "mixed = (dropped @ v).mean(1).repeat(1, 1, self.h)",
            ),
        ),
    ),
    "view_not_contiguous": (
        (
            (
                MIX,
                'mixed = torch.einsum("nhls,nhsd->nhld", dropped, v).transpose(1, 2).view(n, l, e)',
            ),
        ),
    ),
}


def answer(*swaps: tuple[str, str]) -> type[nn.Module]:
    """Make the module with some of its lines exchanged."""
    source = SOURCE
    for old, new in swaps:
        assert old in source, old
        source = source.replace(old, new)
    names = {"nn": nn, "F": F, "torch": torch, "math": math}
    exec(source, names)
    made: type[nn.Module] = names["Answer"]  # type: ignore[assignment]
    return made
