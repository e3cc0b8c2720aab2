from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import cleanformer_lite
from cleanformer_lite import LoopedMultiHeadAttention, SplitMultiHeadAttention
from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.checkpoints import load_model, read_file, save_model
from cleanformer_lite.translation.corpus import three_parts
from cleanformer_lite.translation.decoding import exact_match
from cleanformer_lite.translation.training import new_model

TINY = {"embed_dim": 12, "num_heads": 3, "layers": 1, "hidden": 7}
SHIPPED = Path(cleanformer_lite.__file__).parent / "recordings" / "korean_dates.safetensors"


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Transformer, Path]:
    torch.manual_seed(0)
    model, path = new_model(**TINY), tmp_path / "model.safetensors"
    save_model(model, path, TINY, seed=3)
    return model, path


def test_what_is_saved_is_loaded(saved: tuple[Transformer, Path]) -> None:
    model, path = saved
    loaded, notes = load_model(path)
    assert notes == {"seed": 3}
    assert not loaded.training
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_options_reach_the_model(saved: tuple[Transformer, Path]) -> None:
    class Other(SplitMultiHeadAttention):
        pass

    loaded, _ = load_model(saved[1], attention=Other)
    assert isinstance(loaded.encoder[0].get_submodule("attention"), Other)
    with pytest.raises(ValueError, match="does not fit this model"):
        load_model(saved[1], attention=LoopedMultiHeadAttention)


def test_a_model_is_replaced_whole_or_not_at_all(
    saved: tuple[Transformer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_model(new_model(**TINY), saved[1], TINY, seed=4)
    assert load_model(saved[1])[1] == {"seed": 3}


def rewrite(path: Path, **changed: str) -> None:
    facts = {**read_file(path)[1], **changed}
    save_file(load_file(path), path, metadata=facts)


def test_wrong_and_damaged_files_say_what_is_wrong(saved: tuple[Transformer, Path]) -> None:
    _, path = saved
    whole = path.read_bytes()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_model(path.with_name("nowhere"))
    path.write_bytes(whole[:-5])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or no safetensors file"):
        load_model(path)
    path.write_text("not at all")
    with pytest.raises(ValueError, match="is damaged or no safetensors file"):
        load_model(path)
    path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])  # one bit
    with pytest.raises(ValueError, match="its weights are not those that were saved"):
        load_model(path)
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"holds something else: wanted a .*, got None"):
        load_model(path)


def test_other_sizes_or_pieces_are_refused(saved: tuple[Transformer, Path]) -> None:
    _, path = saved
    sizes = read_file(path)[1]["sizes"]
    rewrite(path, sizes=sizes.replace('"hidden": 7', '"hidden": 5'))
    with pytest.raises(ValueError, match=r"does not fit this model: wanted .*feed_forward"):
        load_model(path)
    rewrite(path, pieces='["a"]')
    with pytest.raises(ValueError, match="trained on another list of pieces"):
        load_model(path)


def test_the_shipped_model_is_small_and_right() -> None:
    assert SHIPPED.stat().st_size < 1_000_000
    model, notes = load_model()
    assert {"seed", "device", "dtype", "torch", "date", "seconds"} <= notes.keys()
    assert notes["exact match on held-out days"] >= 0.995
    sources, targets = (part[:300] for part in three_parts()[2])
    assert exact_match(model, sources, targets) >= 0.98
