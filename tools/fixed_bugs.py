"""Examine fixed bugs, before and after: `python tools/fixed_bugs.py --folder FOLDER`.

Run it with the Python of the environment that `survey_attentions.py --install` makes. Old versions
are installed below FOLDER, each beside nothing else, and imported in a process of their own. What
can no longer be installed, or was fixed before it was published, is written again in a few lines
from what its thread says; those count apart.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "cleanformer_lite" / "recordings" / "fixed_bugs.json"
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
Asked = tuple[Any, tuple[Any, ...], dict[str, Any], dict[str, Any]]
E, H = 32, 4


@dataclass(frozen=True)
class Bug:
    """One bug: its thread, the versions before and after, and a module with its call."""

    thread: str
    what: str
    before: str
    after: str
    make: Callable[[], Asked]
    beside: tuple[str, ...] = ()


def tokens(*shape: int) -> Any:
    """Draw tokens, `(N, L, E)` unless a shape is given."""
    import torch

    return torch.randn(shape or (2, 6, E))


def _vit() -> Asked:
    from vit_pytorch.vit_pytorch import Attention

    try:
        module = Attention(E, heads=H, dim_head=8)
    except TypeError:
        module = Attention(E, heads=H)
    return module, (tokens(),), {}, {}


def _x_transformers() -> Asked:
    from x_transformers.x_transformers import Attention

    return Attention(E, heads=H, dim_head=8, flash=True), (tokens(),), {}, {"mask": "keep"}


def _torchtune() -> Asked:
    from survey_modules import torchtune_groups

    return (*torchtune_groups(), {})


def _timm(path: str, *, fused: bool, **options: Any) -> Callable[[], Asked]:
    def make() -> Asked:
        import importlib

        module, _, name = path.rpartition(".")
        built = getattr(importlib.import_module(module), name)(E, num_heads=H, **options)
        built.fused_attn = fused
        return built, (tokens(),), {}, {"mask": "keep"}

    return make


def _torchnlp() -> Asked:
    from torchnlp.nn import Attention

    return Attention(E), (tokens(), tokens(2, 5, E)), {}, {}


def _decoder(name: str) -> Callable[[], Asked]:
    def make() -> Asked:
        import transformers
        from survey_models import IDS, SIZES

        config = getattr(transformers, f"{name}Config")(**SIZES, is_decoder=True)
        model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
        return model, (), {"input_ids": IDS}, {"causal": True}

    return make


HUB = ("huggingface-hub<2",)
BUGS = (
    Bug(
        "lucidrains/vit-pytorch#65",
        "scores are divided by the root of E",
        "vit-pytorch==0.2.0",
        "vit-pytorch==0.7.0",
        _vit,
    ),
    Bug(
        "lucidrains/x-transformers#160",
        "the mask is inverted on the way to the kernel",
        "x-transformers==1.16.0",
        "x-transformers==1.17.2",
        _x_transformers,
    ),
    Bug(
        "meta-pytorch/torchtune#1791",
        "the kernel drops in evaluation too",
        "torchtune==0.3.1",
        "torchtune==0.6.1",
        _torchtune,
    ),
    Bug(
        "huggingface/pytorch-image-models#1978",
        "the kernel drops in evaluation too (ViT)",
        "timm==0.9.7",
        "timm==0.9.8",
        _timm("timm.models.vision_transformer.Attention", fused=True, attn_drop=0.2),
    ),
    Bug(
        "huggingface/pytorch-image-models#1978",
        "the same, in BEiT",
        "timm==0.9.7",
        "timm==0.9.8",
        _timm("timm.models.beit.Attention", fused=True, attn_drop=0.2),
    ),
    Bug(
        "huggingface/pytorch-image-models#2236",
        "the mask is applied after the softmax",
        "timm==1.0.7",
        "timm==1.0.8",
        _timm("timm.models.eva.EvaAttention", fused=False),
    ),
    Bug(
        "PetrochukM/PyTorch-NLP#2",
        "the softmax runs along the batch",
        "pytorch-nlp==0.1.0",
        "pytorch-nlp==0.2.0",
        _torchnlp,
    ),
    *(
        Bug(
            "huggingface/transformers#48745",
            f"{name} as a decoder reads the future",
            "transformers==5.17.0",
            "transformers==5.18.0",
            _decoder(name),
            HUB,
        )
        for name in ("RoFormer", "RemBert", "MegatronBert")
    ),
    Bug(
        "huggingface/transformers#48748",
        "Doge reads the future with the fused kernel",
        "transformers==5.17.0",
        "transformers==5.18.0",
        _decoder("Doge"),
        HUB,
    ),
)


def ask(number: int) -> None:
    """Examine one bug with what is first on the path, and print what was found."""
    import torch
    from survey_attentions import stand_in_for_pictures

    from cleanformer_lite import Expect, examine

    warnings.simplefilter("ignore")
    stand_in_for_pictures()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module, args, kwargs, meant = BUGS[number].make()
    report = examine(module, *args, expect=Expect(**meant), **kwargs)
    found = sorted({finding.mistake or finding.what for finding in report.findings})
    print(json.dumps({"attentions": len(report.modules), "findings": found}))


def fetch(version: str, folder: Path, beside: tuple[str, ...]) -> Path:
    """Install one version into a folder of its own, without what it needs."""
    place = folder / version
    if not place.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place)]
        subprocess.run([*pip, version, *beside], check=True)
    return place


def try_one(number: int, version: str, folder: Path) -> dict[str, Any]:
    """Examine one version in a process of its own."""
    place = fetch(version, folder, BUGS[number].beside if version == BUGS[number].before else ())
    environment = {**os.environ, "PYTHONPATH": str(place), "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, __file__, "--ask", str(number)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return {"not_tried": (done.stderr.splitlines() or ["it printed nothing"])[-1][:160]}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def rewritten() -> list[dict[str, Any]]:
    """Examine what was written again from its thread, before and after."""
    import torch
    from bugs_of_threads import THREADS

    from cleanformer_lite import Expect, examine

    lines = []
    for thread, (what, make, call, meant) in THREADS.items():
        line: dict[str, Any] = {"thread": thread, "what": what}
        for when in ("before", "after"):
            torch.manual_seed(0)
            args, kwargs = call()
            report = examine(make(when == "before"), *args, expect=Expect(**meant), **kwargs)
            line[when] = sorted({finding.mistake for finding in report.findings})
        lines.append(line)
        print(f"{thread}: {line['before']} -> {line['after']}")
    return lines


def main() -> int:
    """Try every bug, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where old versions are kept")
    parser.add_argument("--out", type=Path, default=TABLE, help="where the table is written")
    parser.add_argument("--ask", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask is not None:
        ask(arguments.ask)
        return 0
    if arguments.folder is None:
        parser.error("--folder says where old versions are kept")
    lines = []
    for number, bug in enumerate(BUGS):
        line: dict[str, Any] = {"thread": bug.thread, "what": bug.what}
        for when, version in (("before", bug.before), ("after", bug.after)):
            line[when] = {"version": version, **try_one(number, version, arguments.folder)}
        lines.append(line)
        says = [line[when].get("findings", line[when]) for when in ("before", "after")]
        print(f"{bug.thread} {bug.before}: {says[0]} -> {says[1]}")

    import torch

    from cleanformer_lite.files import write_file

    born = {"date": date.today().isoformat(), "torch": torch.__version__, "device": "cpu"}
    table = {"birth": born, "installed": lines, "rewritten": rewritten()}
    write_file(arguments.out, json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
