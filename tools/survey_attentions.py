"""Examine attention as others publish it, and write the table: `python tools/survey_attentions.py`.

With `--install FOLDER` the packages are installed into an environment of their own first; run the
script with that environment's Python afterwards. What cannot be built on this machine is listed
with the reason and counts for nothing.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import json
import os
import subprocess
import sys
import time
import types
import warnings
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "cleanformer_lite" / "recordings" / "survey.json"
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
PACKAGES = (
    *("bert-pytorch", "conformer", "diffusers", "espnet", "fair-esm", "keras", "linformer"),
    *("linear-attention-transformer", "local-attention", "memory-efficient-attention-pytorch"),
    *("monai", "multihead-latent-attention", "nystrom-attention", "opacus"),
    *("open-clip-torch", "openai-whisper", "performer-pytorch", "perceiver-pytorch"),
    *("pytorch-pretrained-bert", "rtdl-revisiting-models", "tab-transformer-pytorch", "timm"),
    *("torchtune", "transformer-toolkit", "vit-pytorch", "x-transformers", "zetascale"),
)
# What they import at once; installed without what these need themselves, torch above all.
BESIDE = (
    *("accelerate", "axial-positional-embedding", "beartype", "colt5-attention", "einops", "einx"),
    *("discrete-continuous-embed-readout", "ftfy", "hyper-connections", "kagglehub", "loguru"),
    *("numba", "product-key-memory", "rotary-embedding-torch", "torch-einops-utils", "tiktoken"),
    *("torchao==0.7.0", "torchdata", "vector-quantize-pytorch", "x-mlps-pytorch", "llvmlite"),
    *("optree", "h5py", "namex", "absl-py", "ml-dtypes", "rich", "blobfile", "omegaconf", "scipy"),
)
# Only for pictures: some packages import it at once, and no attention needs it.
PICTURES = (
    *("", ".transforms", ".transforms.functional", ".transforms.v2", ".datasets"),
    *(".datasets.folder", ".models", ".models.feature_extraction", ".utils", ".ops", ".ops.misc"),
    *(".ops.roi_align", ".io"),
)


class _AnyName(type):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _StandIn(types.ModuleType):
    """Has whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _AnyName(name, (), {"__init__": lambda self, *args, **kwargs: None})
        setattr(self, name, made)
        return made


def stand_in_for_pictures() -> None:
    """Let packages import torchvision where it is not installed."""
    if importlib.util.find_spec("torchvision") is not None:
        return
    for ending in PICTURES:
        name = f"torchvision{ending}"
        module = _StandIn(name)
        module.__path__ = []
        vars(module)["__version__"] = "0"
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, module)


def install(folder: Path) -> None:
    """Make an environment of torch, transformers and the packages; none replaces torch."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
    pinned = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    wanted = [p for p in pinned if p.startswith(("torch==", "transformers==", "numpy==", "jinja2"))]
    subprocess.run([*pip, *(line.split("#")[0].strip() for line in wanted)], check=True)
    for package in (*BESIDE, *PACKAGES):
        done = subprocess.run([*pip, "--no-deps", package], check=False)
        print(f"{package}: {'installed' if done.returncode == 0 else 'not installed'}")


def survey(only: str = "") -> list[dict[str, Any]]:
    """Examine everything that can be built and whose name holds `only`, a line each."""
    import torch
    from survey_models import models
    from survey_modules import MODULES

    from cleanformer_lite import examine

    torch.set_num_threads(1)
    lines: list[dict[str, Any]] = []
    for name, (package, make) in {**MODULES, **models()}.items():
        if only not in name:
            continue
        torch.manual_seed(0)
        line: dict[str, Any] = {"name": name, "package": package, "version": _version(package)}
        lines.append(line)
        try:
            model, args, kwargs = make()
        except BaseException as error:
            line["not_built"] = f"{type(error).__name__}: {str(error)[:120]}"
            print(f"not built  {name}: {line['not_built']}")
            continue
        began = time.process_time()
        try:
            report = examine(model, *args, **kwargs)
        except Exception as error:
            line["raised"] = f"{type(error).__name__}: {error}"
            print(f"RAISED     {name}: {line['raised']}")
            continue
        spent = time.process_time() - began
        line["attentions"] = len(report.modules)
        line["milliseconds"] = round(1000 * spent / max(len(report.modules), 1), 1)
        line["findings"] = sorted({f.mistake or f.what for f in report.findings})
        line["notes"] = [note for note in report.notes if note.startswith(("mask", "a query"))]
        line["not_asked"] = len(report.unknown)
        says = ", ".join(line["findings"]) or ("no bug found" if report.modules else "none found")
        print(f"{line['milliseconds']:7.0f} ms  {name}: {says}")
    return lines


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def main() -> int:
    """Install, or survey and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", type=Path, metavar="FOLDER", help="make an environment first")
    parser.add_argument("--out", type=Path, default=TABLE, help="where the table is written")
    parser.add_argument("--only", default="", help="examine these again, keep the other lines")
    arguments = parser.parse_args()
    if arguments.install:
        install(arguments.install)
        return 0
    os.environ.setdefault("KERAS_BACKEND", "torch")
    warnings.simplefilter("ignore")
    stand_in_for_pictures()
    lines = survey(arguments.only)
    if arguments.only:
        kept = json.loads(arguments.out.read_text(encoding="utf8"))["examined"]
        again = {line["name"]: line for line in lines}
        lines = [again.pop(line["name"], line) for line in kept] + list(again.values())

    import torch

    from cleanformer_lite.files import write_file

    born = {"date": date.today().isoformat(), "torch": torch.__version__, "device": "cpu"}
    content = json.dumps({"birth": born, "examined": lines}, indent=1, ensure_ascii=False)
    write_file(arguments.out, content + "\n")
    built = [line for line in lines if "findings" in line]
    print(f"{len(built)} examined, {sum(bool(line['findings']) for line in built)} with findings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
