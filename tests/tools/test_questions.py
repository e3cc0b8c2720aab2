"""What a prediction and a quiz may look like, and the number that a page's own run answers with."""

import pytest
from questions import (
    check_prediction,
    check_quiz,
    find_number,
    nearest,
    read_question,
    read_slider,
)

BODY = ["How many?", "", "- [ ] 3", "  Too few.", "- [x] 5 `heads`", "  Yes,", "", "  five."]


def test_a_question_is_its_text_then_its_choices_with_reasons() -> None:
    question = read_question(BODY)
    assert question.text == ["How many?", ""]
    assert [(c.label, c.right, c.line) for c in question.choices] == [
        ("3", False, 2),
        ("5 `heads`", True, 4),
    ]
    assert question.choices[1].reason == ["Yes,", "", "five."]


@pytest.mark.parametrize(
    ("name", "body", "options", "says"),
    [
        ("", BODY, {}, "needs a name"),
        ("a", BODY[:4], {}, "two choices"),
        ("a", [*BODY, "- [x] 7"], {}, "one of them marked"),
        ("a", BODY, {"answer-from": "found:"}, "one of them marked"),
        ("a", ["Q", "- [ ] 3", "- [ ] five"], {"answer-from": "found:"}, "begins with its number"),
        ("a", ["Q"], {"slider": "1 10 1"}, ":answer:"),
        ("a", BODY, {"slider": "1 10 1", "answer": "3"}, "no choices"),
        ("a", ["Q"], {"slider": "10 1 1", "answer": "3"}, "low high step"),
        ("a", BODY, {"viewer": ""}, "what a viewer asks"),
        ("a", ["Q"], {"slider": "0 10 log", "answer": "3"}, "low high step"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    name: str, body: list[str], options: dict[str, str], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        check_prediction(name, read_question(body), options)


def test_a_quiz_explains_each_choice() -> None:
    check_quiz("a", read_question(BODY))
    with pytest.raises(ValueError, match="a reason below the choice '3'"):
        check_quiz("a", read_question([line for line in BODY if "few" not in line]))
    with pytest.raises(ValueError, match="two spaces"):
        read_question(["Q", "- [ ] 3", "Too few."])


def test_a_slider_has_steps_or_factors() -> None:
    assert read_slider("0 100 5").step == 5
    assert read_slider("0.1 10 log").log


def test_the_answer_is_the_number_behind_its_label() -> None:
    printed = "H = 32 of 7\ntimes as long: 1,234.5 us\ntimes as long: 9\n"
    assert find_number("times as long:", printed) == 1234.5
    for label in ("never printed", "us"):
        with pytest.raises(ValueError, match="no number"):
            find_number(label, printed)


def test_the_nearest_choice_is_nearest_by_its_factor() -> None:
    choices = read_question(["Q", "- [ ] 1 time", "- [ ] 8 times", "- [ ] 64 times"]).choices
    # 25 lies nearer to 8 by difference as by factor, 30 by difference alone.
    assert [nearest(choices, value) for value in (1.2, 20, 30, 500)] == [0, 1, 2, 2]
