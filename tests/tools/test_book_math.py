"""Formulas become MathML, and one that cannot is a warning, which fails the build."""

import pytest
from book_math import to_mathml
from docutils import nodes


def test_a_formula_keeps_its_structure() -> None:
    written = to_mathml(nodes.math("", r"\frac{Q K^\top}{\sqrt{D}}"), as_block=False)
    for tag in ("<math", "<mfrac>", "<msup>", "<msqrt>"):
        assert tag in written
    assert 'display="block"' not in written


def test_a_block_is_marked_as_one_and_lines_become_rows() -> None:
    written = to_mathml(nodes.math_block("", r"a &= b \\ c &= d"), as_block=True)
    assert 'display="block"' in written
    assert written.count("<mtr>") == 2


def test_what_cannot_be_written_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("book_math.LOGGER.warning", lambda text, *rest, **more: said.append(text))
    written = to_mathml(nodes.math("", r"\nosuchcommand{<x>}"), as_block=False)
    assert len(said) == 1
    assert "<x>" not in written


def test_bold_q_k_and_v_take_their_colours_and_no_other_letter_does() -> None:
    written = to_mathml(
        nodes.math("", r"\mathbf{Q} \mathbf{K}^\top \mathbf{V} K D"), as_block=False
    )
    for letter, kind in (("Q", "query"), ("K", "key"), ("V", "value")):
        assert written.count(f'<mi class="{kind}">{letter}</mi>') == 1
    assert written.count("class=") == 3
    assert "<mi>K</mi>" in written
