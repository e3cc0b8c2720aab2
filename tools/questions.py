"""Read what `{predict}` and `{quiz}` hold: a question, its choices or its slider, the reasons."""

import re
from dataclasses import dataclass, field

CHOICE = re.compile(r"^- \[(?P<mark>[ xX])\] (?P<label>.+)$")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass
class Choice:
    """One answer to choose, and why it is right or wrong."""

    label: str
    right: bool
    line: int
    reason: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Slider:
    """The numbers that a reader may say; `log` spaces them by factors."""

    low: float
    high: float
    step: float
    log: bool


@dataclass(frozen=True)
class Question:
    """What is asked: lines of Markdown, then choices or a slider."""

    text: list[str]
    choices: list[Choice]


def read_question(body: list[str]) -> Question:
    """Part a directive's content into the question and its choices, `- [ ]` and `- [x]`.

    What is indented below a choice is its reason. Lines are counted from 0 within the content.
    """
    text: list[str] = []
    choices: list[Choice] = []
    for at, line in enumerate(body):
        if match := CHOICE.match(line):
            choices.append(Choice(match["label"].strip(), match["mark"] != " ", at))
        elif choices:
            if line.strip() and not line.startswith("  "):
                raise ValueError(f"wanted two spaces before the reason of a choice, got {line!r}")
            choices[-1].reason.append(line[2:])
        else:
            text.append(line)
    return Question(text, choices)


def read_slider(written: str) -> Slider:
    """Read `low high step`, or `low high log` for a scale of factors.

    Raises: ValueError for anything else.
    """
    parts = written.split()
    wanted = f"wanted `low high step` or `low high log`, got {written!r}"
    try:
        low, high = float(parts[0]), float(parts[1])
        log = parts[2] == "log"
        step = 0.0 if log else float(parts[2])
    except (IndexError, ValueError):
        raise ValueError(wanted) from None
    if len(parts) != 3 or low >= high or (log and low <= 0) or (not log and step <= 0):
        raise ValueError(wanted)
    return Slider(low, high, step, log)


def check_prediction(name: str, question: Question, options: dict[str, str]) -> None:
    """Refuse a prediction that cannot be answered.

    Raises: ValueError that says what is missing.
    """
    if not name:
        raise ValueError("a prediction needs a name: ```{predict} ch1-spread")
    right = sum(choice.right for choice in question.choices)
    known = ("answer" in options) + ("answer-from" in options)
    if "viewer" in options:
        if question.choices or known or "slider" in options:
            raise ValueError("what a viewer asks has no choices, no slider and no answer")
    elif "slider" in options:
        read_slider(options["slider"])
        if question.choices or known != 1:
            raise ValueError("a slider wants :answer: or :answer-from:, and no choices")
        if "answer" in options:
            float(options["answer"])
    elif len(question.choices) < 2 or right + known != 1 or "answer" in options:
        raise ValueError("wanted two choices or more with one of them marked [x], or :answer-from:")
    elif "answer-from" in options and not all(NUMBER.match(c.label) for c in question.choices):
        raise ValueError("with :answer-from: every choice begins with its number")


def check_quiz(name: str, question: Question) -> None:
    """Refuse a quiz without a name, without one right choice, or with a choice unexplained.

    Raises: ValueError that says what is missing.
    """
    if not name:
        raise ValueError("a quiz needs a name: ```{quiz} ch1-sums")
    if len(question.choices) < 2 or sum(choice.right for choice in question.choices) != 1:
        raise ValueError("wanted two choices or more, one of them marked [x]")
    for choice in question.choices:
        if not any(choice.reason):
            raise ValueError(f"wanted a reason below the choice {choice.label!r}")


def find_number(label: str, printed: str) -> float:
    """Return the first number that `printed` has behind `label`.

    Raises: ValueError if there is no such label, or no number behind it.
    """
    line = re.search(re.escape(label) + ".*", printed)
    number = NUMBER.search(line[0][len(label) :]) if line else None
    if number is None:
        raise ValueError(f"no number stands behind {label!r} in what the waiting cells print")
    return float(number[0].replace(",", ""))


def nearest(choices: list[Choice], value: float) -> int:
    """Return which choice's number is nearest to `value`: by the ratio if both are positive."""
    numbers = [find_number("", choice.label) for choice in choices]

    def distance(number: float) -> float:
        if min(number, value) > 0:
            return max(number / value, value / number)
        return 1 + abs(number - value)

    return min(range(len(numbers)), key=lambda at: distance(numbers[at]))
