"""Reproduce what the survey found, without `examine`: `python tools/published_bugs.py`.

Run it with the Python of the environment that `survey_attentions.py --install` makes. Each case is
a few lines on a published package, and gives one number, what a right module would give, and what
it means. What may be meant is called so.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "cleanformer_lite" / "recordings" / "published_bugs.json"
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
Case = Callable[[], float]
CASES: dict[str, tuple[str, float, Case]] = {}


def case(package: str, what: str, right: float) -> Callable[[Case], Case]:
    """Enter a case: what its number is, and what a right module gives."""

    def enter(make: Case) -> Case:
        CASES[f"{package}: {make.__name__.strip('_')}"] = (what, right, make)
        return make

    return enter


@case("vit-pytorch", "two calls in eval() differ by", 0.0)
def _vivit() -> float:
    from vit_pytorch.vivit import Attention

    module, x = Attention(32, heads=4, dim_head=8, dropout=0.1).eval(), torch.randn(2, 6, 32)
    return float((module(x) - module(x)).abs().max())


@case("performer-pytorch", "outputs move with a token that the mask hides, by", 0.0)
def _performer() -> float:
    from performer_pytorch import SelfAttention

    module, x = SelfAttention(32, heads=4, dim_head=8).eval(), torch.randn(1, 6, 32)
    mask = torch.tensor([[True, True, True, True, True, False]])
    other = x.clone()
    other[:, 5] += 1.0
    return float((module(x, mask=mask) - module(other, mask=mask))[:, :5].abs().max())


@case("memory-efficient-attention-pytorch", "two calls in train(), dropout 0.9, differ by", 1.0)
def _memory_efficient() -> float:
    from memory_efficient_attention_pytorch import Attention

    module, x = Attention(dim=32, heads=4, dim_head=8, dropout=0.9).train(), torch.randn(2, 6, 32)
    return float((module(x) - module(x)).abs().max())


@case("zetascale", "a query's numbers count for their sum over the group alone: moved by", 1.0)
def _grouped() -> float:
    from zeta.nn import MultiGroupedQueryAttn

    module, x = MultiGroupedQueryAttn(32, 4, 2).eval(), torch.randn(1, 6, 32)
    before = module(x, x, x)[0]
    with torch.no_grad():  # one head of a group loses what the other gains
        step = torch.randn(8, 32)
        module.q_proj.weight[:8] += step
        module.q_proj.weight[8:16] -= step
    return float((module(x, x, x)[0] - before).abs().max())


@case("opacus", "batch first and length first, on the same weights, differ by", 0.0)
def _opacus() -> float:
    from opacus.layers import DPMultiheadAttention

    theirs = DPMultiheadAttention(32, 4, batch_first=True).eval()
    other = DPMultiheadAttention(32, 4).eval()
    other.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 6, 32)
    turned = x.transpose(0, 1)
    return float(
        (theirs(x, x, x)[0] - other(turned, turned, turned)[0].transpose(0, 1)).abs().max()
    )


@case("nystrom-attention", "sample 0 moves with sample 1 (a price of the method), by", 0.0)
def _nystrom() -> float:
    from nystrom_attention import NystromAttention

    module = NystromAttention(32, heads=4, dim_head=8, num_landmarks=2).eval()
    x = torch.randn(2, 6, 32)
    other = x.clone()
    other[1] *= 3.0
    return float((module(x) - module(other))[0].abs().max())


@case("multihead-latent-attention", "of one call, calls that raise", 0.0)
def _latent() -> float:
    from mla.attention import MLA, MLAConfig

    sizes = {"d_model": 32, "num_heads": 4, "kv_compressed_dim": 16, "q_compressed_dim": 16}
    try:
        MLA(MLAConfig(**sizes, rope_dim=8, seq_len=6))(torch.randn(2, 6, 32))
    except RuntimeError:
        return 1.0
    return 0.0


@case("transformers", "outputs of Yoso move with padding, by", 0.0)
def _yoso() -> float:
    import transformers
    from survey_models import SIZES

    config = transformers.YosoConfig(**SIZES, use_expectation=True)
    model: torch.nn.Module = transformers.YosoModel(config)
    model.eval()
    ids, mask = torch.randint(5, 90, (1, 6)), torch.tensor([[1, 1, 1, 1, 0, 0]])
    other = torch.where(mask == 1, ids, 7)
    outputs = [model(each, attention_mask=mask)[0] for each in (ids, other)]
    return float((outputs[0] - outputs[1])[:, :4].abs().max())


def main() -> int:
    """Run every case, and write the table."""
    from survey_attentions import stand_in_for_pictures

    from cleanformer_lite.files import write_file

    warnings.simplefilter("ignore")
    stand_in_for_pictures()
    lines = []
    for name, (what, right, make) in CASES.items():
        torch.manual_seed(0)
        with torch.no_grad():
            number = make()
        package = name.split(":")[0]
        line = {"name": name, "version": version(package), "what": what, "number": number}
        lines.append({**line, "right": right})
        print(f"{name} {version(package)}: {what} {number:.3g}")
    born = {"date": date.today().isoformat(), "torch": torch.__version__, "device": "cpu"}
    content = json.dumps({"birth": born, "cases": lines}, indent=1, ensure_ascii=False)
    write_file(TABLE, content + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
