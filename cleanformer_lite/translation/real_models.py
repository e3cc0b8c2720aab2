"""Heads of public models, through `transformers`: Marian's to look at, BERT's to copy."""

from typing import Any

import torch
from torch import Tensor

from cleanformer_lite.split_heads import SplitMultiHeadAttention

KOREAN_ENGLISH = "Helsinki-NLP/opus-mt-ko-en"


def load_marian(name: str = KOREAN_ENGLISH) -> tuple[Any, Any]:
    """Load a Marian translator and its tokenizer, from a folder or from the Hugging Face Hub.

    Raises: OSError, saying what was tried, where there is neither such a folder nor a network.
    """
    from transformers import MarianMTModel, MarianTokenizer

    try:
        # The written-out attention: the fused one keeps no weights to look at.
        model: Any = MarianMTModel.from_pretrained(name, attn_implementation="eager")
        return model.eval(), MarianTokenizer.from_pretrained(name)
    except Exception as error:
        raise OSError(
            f"cannot load {name}: no such folder, and no network or no such model ({error})"
        ) from error


@torch.no_grad()
def marian_maps(model: Any, source: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Run a Marian model once, and return the weights of every attention layer by name.

    Shapes: source `(N, S)`, target `(N, L)` of token numbers -> `(N, H, L, S)` for "cross 0" and so
        on, `(N, H, S, S)` for the encoder, `(N, H, L, L)` for the decoder.
    """
    called = model(input_ids=source, decoder_input_ids=target, output_attentions=True)
    groups = {
        "encoder": called.encoder_attentions,
        "decoder": called.decoder_attentions,
        "cross": called.cross_attentions,
    }
    return {f"{name} {i}": maps for name, layers in groups.items() for i, maps in enumerate(layers)}


@torch.no_grad()
def split_from_bert(attention: Any) -> SplitMultiHeadAttention:
    """Build split heads with the weights of a `BertAttention`.

    BERT's output projection sits in a module of its own, together with a residual and a norm; only
    the projection is taken.

    Raises: ValueError if the module has no such parts.
    """
    parts = dict(attention.named_modules())
    if "self.query" not in parts or "output.dense" not in parts:
        raise ValueError(f"wanted a BertAttention, got {type(attention).__name__}")
    query = parts["self.query"]
    split = SplitMultiHeadAttention(query.in_features, attention.self.num_attention_heads)
    pairs = {
        "q_proj": query, "k_proj": parts["self.key"], "v_proj": parts["self.value"],
        "out_proj": parts["output.dense"],
    }  # fmt: skip
    for name, linear in pairs.items():
        split.get_submodule(name).load_state_dict(linear.state_dict())
    return split.eval()
