"""The most used models as others publish them: every attention is found, none is accused."""

from typing import Any

import pytest
import torch
import transformers

from cleanformer_lite import examine

IDS = torch.tensor([[5, 8, 31, 6, 7, 9], [12, 5, 44, 60, 0, 0]])
MASK = (IDS != 0).long()
SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
OF_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4}
OF_BART = {
    **{"d_model": 32, "encoder_layers": 1, "decoder_layers": 1},
    **{"encoder_attention_heads": 4, "decoder_attention_heads": 4},
    **{"encoder_ffn_dim": 48, "decoder_ffn_dim": 48},
}
MODELS: dict[str, tuple[dict[str, Any], int]] = {
    "Bert": ({}, 2),
    "Roberta": ({}, 2),
    "DistilBert": ({"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}, 2),
    "GPT2": (OF_GPT2, 2),
    "GPTNeoX": ({}, 2),
    "Llama": ({"num_key_value_heads": 2}, 2),
    "Mistral": ({"num_key_value_heads": 2, "sliding_window": 3}, 2),
    "Qwen2": ({"num_key_value_heads": 2}, 2),
    "T5": ({"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}, 6),
    "Bart": (OF_BART, 3),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_is_not_accused(name: str) -> None:
    options, attentions = MODELS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**SIZES, **options})
    model = getattr(transformers, f"{name}Model")(config).eval()
    call: dict[str, Any] = {"input_ids": IDS, "attention_mask": MASK}
    if config.is_encoder_decoder:
        call["decoder_input_ids"] = IDS
    report = examine(model, **call)
    assert report.passed, report
    assert len(report.modules) >= attentions, report
