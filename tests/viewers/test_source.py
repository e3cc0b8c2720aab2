"""show_source shows the file that runs, and refuses what has none."""

import inspect
from typing import Any

import IPython.display
import pytest

from cleanformer_lite import SplitMultiHeadAttention, merge_heads, split_heads
from cleanformer_lite.viewers import show_source


def test_it_displays_the_very_source(monkeypatch: pytest.MonkeyPatch) -> None:
    displayed: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", displayed.append)
    show_source(split_heads, merge_heads)
    [shown] = displayed
    first, second = (inspect.getsource(thing).strip() for thing in (split_heads, merge_heads))
    assert shown.data == f"```python\n{first}\n\n{second}\n```"


def test_a_method_stands_at_the_left_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    displayed: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", displayed.append)
    show_source(SplitMultiHeadAttention.forward)
    lines = displayed[0].data.splitlines()
    assert lines[1] == "def forward("
    assert lines[2].startswith("    self,")


def test_what_has_no_source_is_refused() -> None:
    with pytest.raises(ValueError, match="got 3"):
        show_source(3)
