"""Set our modules beside PyTorch's and Hugging Face's, as ratios in one run: a report, not a test.

Usage: python tools/bench.py, about three minutes on one CPU thread; on a GPU if there is one.
"""

import argparse
import datetime
import statistics
import subprocess
import sys

import torch
from torch import Tensor, nn
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertSelfAttention

from cleanformer_lite import FusedMultiHeadAttention, SplitMultiHeadAttention, copy_weights
from cleanformer_lite.timing import compare
from cleanformer_lite.timing.units import name_device
from cleanformer_lite.timing.variants import TorchAttention

# N, L, E, H: where launching dominates, a small model, a larger one, a long sequence.
SHAPES = [(1, 16, 64, 8), (2, 128, 256, 8), (1, 512, 512, 8), (1, 1024, 256, 4)]
IMPORT_ROUNDS = 9
IMPORT = """import time, torch
began = time.perf_counter()
import cleanformer_lite
print(time.perf_counter() - began)"""


class BertAttention(nn.Module):
    """Hugging Face's self-attention of BERT, with the output projection that ours have."""

    def __init__(self, source: SplitMultiHeadAttention, implementation: str) -> None:
        super().__init__()
        config = BertConfig(
            hidden_size=source.embed_dim,
            num_attention_heads=source.num_heads,
            attention_probs_dropout_prob=0.0,
        )
        config._attn_implementation = implementation
        self.attention = BertSelfAttention(config)  # type: ignore[no-untyped-call]
        self.out_proj = nn.Linear(source.embed_dim, source.embed_dim)
        for ours, theirs in (
            (source.q_proj, self.attention.query),
            (source.k_proj, self.attention.key),
            (source.v_proj, self.attention.value),
            (source.out_proj, self.out_proj),
        ):
            theirs.load_state_dict(ours.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        """Attend, then mix. Shapes: x `(N, L, E)` -> the same."""
        output: Tensor = self.out_proj(self.attention(x)[0])
        return output


def compare_at(shape: tuple[int, int, int, int], backward: bool, device: str, rounds: int) -> None:
    """Time ours and theirs at one shape, all with the same weights, and print the ratios."""
    batch, length, embed_dim, num_heads = shape
    torch.manual_seed(0)
    split = SplitMultiHeadAttention(embed_dim, num_heads)
    fused = FusedMultiHeadAttention(embed_dim, num_heads)
    torch_own = TorchAttention(embed_dim, num_heads, need_weights=False)
    for target in (fused, torch_own):
        copy_weights(split, target)
    pairs: list[dict[str, nn.Module]] = [
        {"nn.MHA, training mode": torch_own, "fused": fused},
        {"BERT sdpa + out_proj": BertAttention(split, "sdpa"), "fused": fused},
        {"BERT eager + out_proj": BertAttention(split, "eager"), "split": split},
    ]
    x = torch.randn(batch, length, embed_dim, device=device)
    for pair in pairs:
        theirs, ours = pair
        for module in pair.values():
            module.to(device)
        found = compare(pair, [x], backward=backward, rounds=rounds)
        lower, median, upper = found.ratios(ours)
        same = "" if found.differs(ours) else "  no difference seen"
        direction = "forward+backward" if backward else "forward"
        spread = f"{median:.2f} ({lower:.2f} to {upper:.2f})"
        print(f"{shape!s:19} {direction:16}  {ours:5} / {theirs:22} {spread}{same}", flush=True)


def compare_imports() -> None:
    """Print what importing the package costs once torch is there, in fresh interpreters."""
    command = [sys.executable, "-c", IMPORT]
    taken = [
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(IMPORT_ROUNDS)
    ]
    lower, median, upper = (1e3 * part for part in statistics.quantiles(taken))
    print(f"import of the package beyond torch: {median:.0f} ms ({lower:.0f} to {upper:.0f})")


def main() -> None:
    """Print all ratios. Below 1, ours is the faster one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=25, help="of each pair (default: 25)")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    name = name_device(torch.device(chosen.device))
    today = datetime.date.today().isoformat()
    print(f"Ours over theirs, medians and quartiles. {name}, torch {torch.__version__}, {today}")
    print("Shapes are N, L, E, H; float32, one thread on a CPU; equal weights, outputs compared.")
    for backward in (False, True):
        for shape in SHAPES:
            compare_at(shape, backward, chosen.device, chosen.rounds)
    compare_imports()


if __name__ == "__main__":
    main()
