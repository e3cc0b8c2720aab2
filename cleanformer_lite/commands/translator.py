"""The commands of chapter 7's translator: `train`, `evaluate`, `translate`."""

import argparse
from pathlib import Path

from cleanformer_lite.commands import Commands

ABOUT_TRAIN = """\
Train the translator of Korean dates on all days from 1900 to 2099 but 7,805, about two minutes of
computing. It saves itself every 100 steps: stopped at any moment, the same command goes on from
there, to the same weights. It stops early once 500 checked days are right twice in a row.
"""
ABOUT_EVALUATE = """\
Translate days that the translator was never trained on, and print the share of those without a
single wrong letter.
"""
ABOUT_TRANSLATE = """\
Translate a date from 1900 to 2099, as in "Monday, November 23, 2026". Anything else is
refused, and the message says where.
"""


def add_to(commands: Commands) -> None:
    """Describe the commands."""
    _add_train(commands)
    _add_evaluate(commands)
    _add_translate(commands)


def _add_train(commands: Commands) -> None:
    command = commands.add_parser(
        "train", help="train the translator of Korean dates", description=ABOUT_TRAIN
    )
    command.add_argument("folder", type=Path, help="where checkpoint, log and model are kept")
    command.add_argument("--seed", type=int, default=0, help="of the start and of the batches")
    command.add_argument("--steps", type=int, default=1200, help="at most (default: 1200)")
    command.add_argument("--batch", type=int, default=64, help="dates a step (default: 64)")
    command.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    command.set_defaults(run=train)


def _add_evaluate(commands: Commands) -> None:
    command = commands.add_parser(
        "evaluate", help="score a translator on held-out days", description=ABOUT_EVALUATE
    )
    command.add_argument("--model", type=Path, help="a .safetensors file (default: the shipped)")
    command.add_argument("--days", type=int, help="only this many of the held-out days")
    command.set_defaults(run=evaluate)


def _add_translate(commands: Commands) -> None:
    command = commands.add_parser(
        "translate", help="translate a date in Korean words", description=ABOUT_TRANSLATE
    )
    command.add_argument("text", help='such as "이천이십육년 십일월 이십삼일 월요일"')
    command.add_argument("--model", type=Path, help="a .safetensors file (default: the shipped)")
    command.set_defaults(run=translate)


def train(chosen: argparse.Namespace) -> int:
    """Train, print the score on held-out days, and write the model; return the exit code."""
    import datetime
    import platform

    import torch

    from cleanformer_lite.fused_heads import FusedMultiHeadAttention
    from cleanformer_lite.split_heads import SplitMultiHeadAttention
    from cleanformer_lite.translation.checkpoints import save_model
    from cleanformer_lite.translation.corpus import three_parts
    from cleanformer_lite.translation.decoding import exact_match
    from cleanformer_lite.translation.swap_attention import swap_attention
    from cleanformer_lite.translation.training import (
        SIZES,
        Trainer,
        new_model,
        print_bar,
    )

    if chosen.steps < 1 or chosen.batch < 1:
        raise ValueError(
            f"wanted steps and batch of at least 1, got {chosen.steps} and {chosen.batch}"
        )
    torch.manual_seed(chosen.seed)
    # Fused heads train fastest. The file keeps them as split heads, which can be anything else.
    model = new_model(**SIZES, attention=FusedMultiHeadAttention)
    train, check, held_out = three_parts()
    trainer = Trainer(
        model, chosen.folder, seed=chosen.seed, steps=chosen.steps, batch=chosen.batch,
        threads=chosen.threads,
    )  # fmt: skip
    if trainer.resume():
        print(f"resumed at step {trainer.step}")
    trainer.run(train, check, progress=print_bar)
    right = exact_match(model, *held_out)
    notes = {
        "exact match on held-out days": round(right, 5), "held-out days": len(held_out[0]),
        "seed": chosen.seed, "steps": trainer.step, "batch": chosen.batch,
        "seconds": round(trainer.seconds, 1), "CPU seconds": round(trainer.cpu_seconds, 1),
        "device": f"{chosen.threads} {platform.machine()} CPU thread(s)",
        "dtype": "float32", "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }  # fmt: skip
    model = swap_attention(model, SplitMultiHeadAttention)
    save_model(model, chosen.folder / "korean_dates.safetensors", SIZES, **notes)
    for name, value in notes.items():
        print(f"{name}: {value}")
    return 0


def evaluate(chosen: argparse.Namespace) -> int:
    """Print the share of days without a single wrong letter; return the exit code."""
    from cleanformer_lite.translation.checkpoints import load_model
    from cleanformer_lite.translation.corpus import three_parts
    from cleanformer_lite.translation.decoding import exact_match

    if chosen.days is not None and chosen.days < 1:
        raise ValueError(f"wanted at least one day, got {chosen.days}")
    model, _ = load_model(chosen.model)
    sources, targets = (part[: chosen.days] for part in three_parts()[2])
    right = exact_match(model, sources, targets)
    print(f"exact match on {len(sources)} held-out days: {100 * right:.2f} %")
    return 0


def translate(chosen: argparse.Namespace) -> int:
    """Check the text, and print its translation; return the exit code."""
    from cleanformer_lite.translation.korean_dates import read_korean

    read_korean(chosen.text)  # refuses what is no date before torch is loaded

    from cleanformer_lite.translation.checkpoints import load_model
    from cleanformer_lite.translation.decoding import translate as decode

    model, _ = load_model(chosen.model)
    print(decode(model, [chosen.text])[0])
    return 0
