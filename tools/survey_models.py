"""Whole models of transformers, tiny and with random weights, for the survey."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Made = tuple[nn.Module, tuple[Any, ...], dict[str, Any]]
IDS = torch.tensor([[5, 8, 31, 6, 7, 9], [12, 5, 44, 60, 0, 0]])
MASK = (IDS != 0).long()
SIZES: dict[str, Any] = {
    **{"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"intermediate_size": 48, "max_position_embeddings": 64},
}
OF_GPT: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4}
OF_BART: dict[str, Any] = {
    **{"d_model": 32, "encoder_layers": 1, "decoder_layers": 1},
    **{"encoder_attention_heads": 4, "decoder_attention_heads": 4},
    **{"encoder_ffn_dim": 48, "decoder_ffn_dim": 48},
}
OF_IMAGES: dict[str, Any] = {"image_size": 16, "patch_size": 8}
EAGER = {"attn_implementation": "eager"}
# The name in front of Config and Model, what differs from SIZES, what the call is.
TEXT: list[tuple[str, dict[str, Any]]] = [
    ("Bert", {}),
    ("Bert", EAGER),
    ("Roberta", {"pad_token_id": 1}),
    ("DistilBert", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}),
    ("Albert", {"embedding_size": 16}),
    ("Electra", {"embedding_size": 16}),
    ("DebertaV2", {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
    ("MPNet", {}),
    ("RemBert", {"input_embedding_size": 16, "output_embedding_size": 16}),
    ("Esm", {"pad_token_id": 1, "mask_token_id": 2}),
    ("XLM", {"emb_dim": 32, "n_layers": 2, "n_heads": 4}),
    ("Longformer", {"attention_window": [4, 4]}),
    ("Yoso", {"use_expectation": True}),
    ("FNet", {}),
    ("GPT2", {**OF_GPT, "n_positions": 64}),
    ("GPT2", {**OF_GPT, "n_positions": 64, **EAGER}),
    ("GPTNeo", {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]}),
    ("GPTNeoX", {}),
    ("GPTJ", {**OF_GPT, "rotary_dim": 4}),
    ("CodeGen", {**OF_GPT, "rotary_dim": 4}),
    ("Llama", {}),
    ("Llama", {"num_key_value_heads": 2}),
    ("Llama", {"num_key_value_heads": 2, **EAGER}),
    ("Mistral", {"num_key_value_heads": 2, "sliding_window": 3}),
    ("Qwen2", {"num_key_value_heads": 2}),
    ("Qwen3", {"num_key_value_heads": 2, "head_dim": 8}),
    ("Gemma", {"head_dim": 16, "num_key_value_heads": 1}),
    ("Gemma2", {"head_dim": 16, "num_key_value_heads": 2}),
    ("Phi", {}),
    ("Falcon", {"new_decoder_architecture": False}),
    ("Bloom", {"n_layer": 2, "n_head": 4}),
    ("OPT", {"ffn_dim": 48, "word_embed_proj_dim": 32}),
    ("Mpt", {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64}),
    ("Olmo2", {}),
    (
        "DeepseekV3",
        {
            **{"q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4},
            **{"v_head_dim": 8, "n_routed_experts": 2, "num_experts_per_tok": 1, "n_group": 1},
            **{"topk_group": 1, "moe_intermediate_size": 16, "first_k_dense_replace": 2},
        },
    ),
    ("T5", {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}),
    ("Bart", OF_BART),
    ("Marian", {**OF_BART, "pad_token_id": 0, "decoder_start_token_id": 0}),
]
IMAGES: list[tuple[str, dict[str, Any]]] = [
    ("ViT", OF_IMAGES),
    ("Beit", OF_IMAGES),
    ("DeiT", OF_IMAGES),
    ("Dinov2", OF_IMAGES),
    ("CLIPVision", OF_IMAGES),
]


def models() -> dict[str, tuple[str, Callable[[], Made]]]:
    """List every model by name, with what builds it and its call."""
    found: dict[str, tuple[str, Callable[[], Made]]] = {}
    for is_text, named in ((True, TEXT), (False, IMAGES)):
        for name, options in named:
            short = ", ".join(k for k in options if k in ("num_key_value_heads",))
            short += " eager" if "attn_implementation" in options else ""
            label = f"transformers: {name}Model {short}".strip()
            found[label] = ("transformers", _maker(name, options, is_text))
    return found


def _maker(name: str, options: dict[str, Any], is_text: bool) -> Callable[[], Made]:
    def make() -> Made:
        import transformers

        config = getattr(transformers, f"{name}Config")(**{**SIZES, **options})
        model = getattr(transformers, f"{name}Model")(config).eval()
        if not is_text:
            return model, (), {"pixel_values": torch.randn(2, 3, 16, 16)}
        call: dict[str, Any] = {"input_ids": IDS}
        if name != "FNet":
            call["attention_mask"] = MASK
        if getattr(config, "is_encoder_decoder", False):
            call["decoder_input_ids"] = IDS
        return model, (), call

    return make
