"""The commands of `cleanformer-lite`, one a file; `cleanformer_lite.cli` lists them."""

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
