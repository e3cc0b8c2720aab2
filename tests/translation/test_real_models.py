import json
from pathlib import Path

import pytest
import torch

from cleanformer_lite.translation.real_models import load_marian, marian_maps, split_from_bert
from tests.implementations import assert_close
from tests.properties import random

transformers = pytest.importorskip("transformers")


def marian_config() -> object:
    return transformers.MarianConfig(
        vocab_size=11, d_model=6, encoder_layers=2, decoder_layers=1, encoder_attention_heads=3,
        decoder_attention_heads=2, encoder_ffn_dim=7, decoder_ffn_dim=5, max_position_embeddings=13,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, forced_eos_token_id=1,
    )  # fmt: skip


def test_maps_of_a_tiny_marian(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = transformers.MarianMTModel(marian_config())
    made.save_pretrained(tmp_path)
    model = transformers.MarianMTModel.from_pretrained(tmp_path, attn_implementation="eager")
    source, target = torch.tensor([[2, 3, 4, 5, 1]]), torch.tensor([[0, 6, 7]])
    maps = marian_maps(model.eval(), source, target)
    shapes = {name: tuple(m.shape) for name, m in maps.items()}
    assert shapes == {
        "encoder 0": (1, 3, 5, 5), "encoder 1": (1, 3, 5, 5),
        "decoder 0": (1, 2, 3, 3), "cross 0": (1, 2, 3, 5),
    }  # fmt: skip
    for m in maps.values():
        assert torch.allclose(m.sum(-1), torch.ones(m.shape[:-1]))
    assert (maps["decoder 0"].triu(1) == 0).all()


def test_without_model_or_network_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "marian"}))
    with pytest.raises(OSError, match=r"cannot load .*no such folder, and no network"):
        load_marian(str(tmp_path))


def test_bert_copied_into_split_gives_berts_outputs() -> None:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        hidden_size=12, num_attention_heads=3, num_hidden_layers=1, intermediate_size=7,
        vocab_size=11, attn_implementation="eager",
    )  # fmt: skip
    bert = transformers.models.bert.modeling_bert.BertAttention(config).double().eval()
    split = split_from_bert(bert).double()
    split.load_state_dict(split_from_bert(bert).state_dict())
    x = random(2, 5, 12)
    kept = torch.arange(5) < torch.tensor([[5], [3]])
    hidden = torch.zeros(2, 1, 1, 5).double().masked_fill(~kept[:, None, None], -1e30)
    concatenated = bert.self(x, hidden)[0]
    expected = bert.output.dense(concatenated)
    ours = split(x, attn_mask=kept[:, None, None, :])
    assert_close(ours, expected, tolerance=1e-6)  # the copy is in float32
    assert_close(bert(x, hidden)[0], bert.output.LayerNorm(ours + x), tolerance=1e-6)


def test_another_module_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted a BertAttention, got Linear"):
        split_from_bert(torch.nn.Linear(2, 2))
