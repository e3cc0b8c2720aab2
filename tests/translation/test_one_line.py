"""One line, with its probabilities and maps: held against the parts that do each alone."""

import datetime
import math

import pytest
import torch

from cleanformer_lite.transformer import Transformer
from cleanformer_lite.translation.checkpoints import load_model
from cleanformer_lite.translation.corpus import as_tensors
from cleanformer_lite.translation.decoding import translate
from cleanformer_lite.translation.kinds import NoAttention
from cleanformer_lite.translation.korean_dates import in_english, in_korean
from cleanformer_lite.translation.looking_inside import attention_modules, without_head
from cleanformer_lite.translation.one_line import check_heads, write_line
from cleanformer_lite.translation.training import new_model
from cleanformer_lite.translation.vocabulary import as_text

DAY = datetime.date(1987, 6, 30)


@pytest.fixture(scope="module")
def model() -> Transformer:
    return load_model()[0]


def test_a_line_without_a_head_is_what_translate_writes_without_it(model: Transformer) -> None:
    written = write_line(model, in_korean(DAY), [("decoder 0", 1)])
    with without_head(attention_modules(model)["decoder 0"], 1):
        expected = translate(model, [in_korean(DAY)])[0]
    assert as_text(torch.tensor(written["pieces"])) == expected != in_english(DAY)
    assert as_text(torch.tensor(write_line(model, in_korean(DAY))["pieces"])) == in_english(DAY)


def test_its_shares_multiply_to_the_loss_of_the_line(model: Transformer) -> None:
    written = write_line(model, in_korean(DAY))
    source, target = as_tensors(([in_korean(DAY)], [in_english(DAY)]))
    loss = torch.nn.functional.cross_entropy(model(source, target[:, :-1])[0], target[0, 1:])
    surprise = -sum(math.log(share) for share in written["shares"]) / len(written["shares"])
    assert surprise == pytest.approx(loss.item(), abs=1e-4)


def test_a_map_has_a_row_for_each_that_reads(model: Transformer) -> None:
    maps = write_line(model, in_korean(DAY))["maps"]
    asked, written = (
        len(in_korean(DAY).replace(" ", "")),
        len(write_line(model, in_korean(DAY))["pieces"]),
    )
    sizes = {name.split()[0]: (len(heads[0]), len(heads[0][0])) for name, heads in maps.items()}
    assert sizes == {
        "encoder": (asked, asked), "decoder": (written, written), "cross": (written, asked),
    }  # fmt: skip
    assert sum(maps["cross 1"][2][3]) == pytest.approx(1, abs=1e-3)


def test_it_leaves_the_model_as_it_was(model: Transformer) -> None:
    model.train()
    write_line(model, in_korean(DAY), [("encoder 0", 0)])
    assert model.training
    model.eval()
    again = write_line(model, in_korean(DAY))
    assert as_text(torch.tensor(again["pieces"])) == in_english(DAY)


def test_attention_without_heads_is_named() -> None:
    with pytest.raises(
        TypeError, match="encoder 0: wanted a module with num_heads and out_proj, got NoAttention"
    ):
        check_heads(new_model(layers=1, attention=NoAttention))
