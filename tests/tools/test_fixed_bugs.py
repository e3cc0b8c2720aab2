"""Fixed bugs are told apart, published ones reproduced: what was installed by its recording."""

import json
from importlib.resources import files

import pytest
import torch
from bugs_of_threads import THREADS

from cleanformer_lite import Expect, examine

TABLE = json.loads((files("cleanformer_lite") / "recordings/fixed_bugs.json").read_text())
NAMES = {
    "keras-team/keras#23038": "causal_mask_shifted",
    "facebookresearch/xformers#103": "causal_mask_shifted",
    "esceptico/perceiver-io#9": "scale_inverted",
    "Project-MONAI/GenerativeModels#146": "scale_missing",
    "facebookresearch/detr#247": "softmax_over_heads",
    "jsbaan/transformer-from-scratch#4": "merge_without_transpose",
    "ArrowLuo/CLIP4Clip#22": "mask_repeat_order",
}


@pytest.mark.parametrize("thread", THREADS)
def test_a_fixed_bug_is_named_before_and_not_after(thread: str) -> None:
    _, make, call, meant = THREADS[thread]
    for has_bug in (True, False):
        torch.manual_seed(0)
        args, kwargs = call()
        report = examine(make(has_bug), *args, expect=Expect(**meant), **kwargs)
        wanted = [NAMES[thread]] if has_bug else []
        assert [finding.mistake for finding in report.findings] == wanted, report


def test_ten_were_told_apart_as_they_were_published() -> None:
    lines = TABLE["installed"]
    assert len(lines) >= 10
    assert len({line["thread"] for line in lines}) >= 8
    for line in lines:
        assert line["before"]["findings"], line
        assert line["after"] == {**line["after"], "findings": []}
        assert line["after"]["attentions"] == line["before"]["attentions"] > 0


def test_what_was_found_was_reproduced_without_examine() -> None:
    folder = files("cleanformer_lite") / "recordings"
    cases = json.loads((folder / "published_bugs.json").read_text())["cases"]
    assert len(cases) >= 8
    for case in cases:
        # Rounding is no bug, and no bug is as small as rounding.
        shows = case["number"] > 1e-3 if case["right"] == 0 else case["number"] < 1e-5
        assert shows, case
    survey = json.loads((folder / "survey.json").read_text())["examined"]
    accused = {line["package"] for line in survey if line.get("findings")}
    assert {case["name"].split(":")[0] for case in cases} == accused
