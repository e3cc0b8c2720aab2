"""The commands of `cleanformer-lite`, by who types them; `cleanformer_lite.cli` lists them."""

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add(commands: Commands, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    """Add a command whose description keeps its own lines."""
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
