"""Sphinx extension: predictions that wait for the reader, what they keep closed, and quizzes.

What it writes reads without JavaScript, as boxes that open; `book/_static/predict.js` makes them
wait.
"""

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from html_tags import Tag, add_tags, make
from questions import (
    Choice,
    Question,
    check_prediction,
    check_quiz,
    find_number,
    nearest,
    read_question,
    read_slider,
)
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)


class Ask(SphinxDirective):
    """What `{predict}` and `{quiz}` share: a name, a question, choices."""

    optional_arguments = 1
    has_content = True

    def read(self) -> Question:
        """Read the content, and refuse what cannot be answered."""
        question = read_question(list(self.content))
        self.check(question)
        return question

    def check(self, question: Question) -> None:
        """Raise ValueError for a question that does not hold together."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Write the question; what is wrong with it is an error of the build."""
        try:
            return [self.write(self.read())]
        except ValueError as error:
            raise self.error(str(error)) from None

    def write(self, question: Question) -> nodes.Node:
        """Return the question as a tree."""
        raise NotImplementedError

    @property
    def name_given(self) -> str:
        """The name by which an answer is remembered."""
        return self.arguments[0].strip() if self.arguments else ""

    def markdown(self, lines: list[str], at: int = 0) -> list[nodes.Node]:
        """Parse lines of the page's Markdown that start at line `at` of the content."""
        parent = nodes.Element()
        self.state.nested_parse(StringList(lines, "page"), self.content_offset + at, parent)
        return list(parent.children)

    def label(self, choice: Choice) -> list[nodes.Node]:
        """Parse a choice's own line."""
        found, messages = self.state.inline_text(
            choice.label, self.lineno + self.content_offset + choice.line
        )
        return [*found, *messages]


class Predict(Ask):
    """A question whose answer stays closed until the reader has said one."""

    option_spec = {  # noqa: RUF012, so it is declared by docutils
        "slider": directives.unchanged,
        "answer": directives.unchanged,
        "answer-from": directives.unchanged,
        "unit": directives.unchanged,
        "viewer": directives.flag,
    }

    def check(self, question: Question) -> None:
        """Refuse what cannot be answered."""
        check_prediction(self.name_given, question, self.options)

    def write(self, question: Question) -> nodes.Node:
        """Write the question, then its choices or the place of its slider."""
        shown = {"data_ask": self.name_given, "role": "group", "aria_label": "Predict"}
        for option in ("answer", "unit"):
            if option in self.options:
                shown[f"data_{option}"] = self.options[option]
        if any(choice.right for choice in question.choices):
            shown["data_right"] = str([choice.right for choice in question.choices].index(True))
        if "viewer" in self.options:
            shown["data_viewer_asks"] = ""
        said = make("p", classes="you-said", role="status")
        parts = [make("p", nodes.Text("Predict"), classes="ask-title")]
        parts += self.markdown(question.text)
        box = make("div", *parts, self._answers(question), said, classes="ask predict", **shown)
        box["ids"].append(self.name_given)
        box["answer_from"] = self.options.get("answer-from")
        box["choices"] = question.choices
        return box

    def _answers(self, question: Question) -> Tag:
        if "slider" in self.options:
            slider = read_slider(self.options["slider"])
            numbers = {"data_low": slider.low, "data_high": slider.high, "data_step": slider.step}
            shown = {name: f"{number:g}" for name, number in numbers.items()}
            return make("div", classes="ask-slider", **shown, data_log=str(int(slider.log)))
        lines = [make("li", make("p", *self.label(choice))) for choice in question.choices]
        return make("ul", *lines, classes="choices")


class Quiz(Ask):
    """A question whose choices explain themselves."""

    def check(self, question: Question) -> None:
        """Refuse what cannot be answered."""
        check_quiz(self.name_given, question)

    def write(self, question: Question) -> nodes.Node:
        """Write each choice as a box that opens on its reason."""
        lines = [
            make(
                "li",
                make(
                    "details",
                    make("summary", *self.label(choice)),
                    make("div", *self.markdown(choice.reason, choice.line + 1), classes="reason"),
                ),
            )
            for choice in question.choices
        ]
        right = str([choice.right for choice in question.choices].index(True))
        box = make(
            "div",
            make("p", nodes.Text("Question"), classes="ask-title"),
            *self.markdown(question.text),
            make("ul", *lines, classes="choices"),
            make("p", classes="you-said", role="status"),
            classes="ask quiz",
            data_ask=self.name_given,
            data_right=right,
            role="group",
            aria_label="Question",
        )
        box["ids"].append(self.name_given)
        return box


class Reveal(SphinxDirective):
    """The explanation that follows a prediction, closed until then."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Write it as a box that opens."""
        inner = make("div", make("p", classes="you-said", aria_hidden="true"))
        self.state.nested_parse(self.content, self.content_offset, inner)
        return [close(self.arguments[0].strip(), "Explanation", inner, classes="reveal")]


def close(name: str, title: str, *children: nodes.Node, classes: str = "") -> Tag:
    """Write a box that opens once the prediction `name` was made; `title` names what is in it."""
    summary = make("summary", nodes.Text(title))
    return make("details", summary, *children, classes=f"waits {classes}", data_waits_for=name)


def is_waiting_cell(node: nodes.Node) -> bool:
    """Tell whether a node is a code cell that a tag lets wait."""
    tags = {"tag_waits", "tag_waits-all"}
    return isinstance(node, nodes.container) and bool(tags & set(node["classes"]))


def is_prediction(node: nodes.Node) -> bool:
    """Tell whether a node is a prediction."""
    return isinstance(node, Tag) and "predict" in node["classes"]


def outputs_of(cell: nodes.container) -> list[nodes.Element]:
    """Return what holds a cell's output, if it has any."""
    return [part for part in cell.children if part.get("nb_element") == "cell_code_output"]


def close_cell(cell: nodes.container, name: str) -> None:
    """Close a cell's output, or with the tag `waits-all` its code too."""
    if "tag_waits-all" in cell["classes"]:
        cell.replace_self(close(name, "Code and output", cell.deepcopy(), classes="output"))
        return
    for output in outputs_of(cell):
        cell.replace(output, close(name, "Output", output.deepcopy(), classes="output"))


def let_cells_wait(app: Sphinx, document: nodes.document) -> None:
    """Close the cells tagged `waits` behind the prediction above them; find the answers they print.

    A cell or an explanation that waits for no prediction of the page fails the build.
    """
    asked: dict[str, Tag] = {}
    printed: dict[str, str] = {}
    name = ""

    def wanted(node: nodes.Node) -> bool:
        return is_waiting_cell(node) or (isinstance(node, Tag) and bool(node["classes"]))

    for node in list(document.findall(wanted)):
        if is_prediction(node):
            name = node["shown"]["data-ask"]
            asked[name], printed[name] = node, ""
        elif is_waiting_cell(node):
            if not name:
                LOGGER.warning("a cell waits, but no prediction stands above it", location=node)
                continue
            for output in outputs_of(node):
                printed[name] += output.astext() + "\n"
            close_cell(node, name)
        elif "reveal" in node["classes"] and node["shown"]["data-waits-for"] not in asked:
            waits_for = node["shown"]["data-waits-for"]
            LOGGER.warning("{reveal} waits for %r, which nobody asks", waits_for, location=node)
    for name, box in asked.items():
        answer_from_output(box, printed[name])
    if asked or any(document.findall(lambda n: isinstance(n, Tag) and "quiz" in n["classes"])):
        frame_page(document, len(asked))


def answer_from_output(box: Tag, printed: str) -> None:
    """Take the answer from what the waiting cells print, where the prediction says so."""
    label, choices = box.attributes.pop("answer_from"), box.attributes.pop("choices")
    if label is None:
        return
    try:
        value = find_number(label, printed)
    except ValueError as error:
        LOGGER.warning("%s", error, location=box)
        return
    box["shown"] |= {"data-answer": f"{value:g}", "data-measured": ""}
    if choices:
        box["shown"]["data-right"] = str(nearest(choices, value))


def frame_page(document: nodes.document, predictions: int) -> None:
    """Offer to show all at the top of the page, and keep the tally at its end."""
    [section, *_] = document.findall(nodes.section)
    if predictions:
        many = "s wait" if predictions > 1 else " waits"
        button = make("button", nodes.Text("Show all answers"), type="button", aria_pressed="false")
        text = nodes.Text(f" {predictions} prediction{many} for yours on this page.")
        section.insert(2, make("p", button, make("span", text), classes="show-all"))
    section.append(make("p", classes="tally", role="status"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives, and the pass over each page once its cells have run."""
    add_tags(app)
    app.add_directive("predict", Predict)
    app.add_directive("quiz", Quiz)
    app.add_directive("reveal", Reveal)
    app.connect("doctree-read", let_cells_wait)
    app.add_js_file("predict.js", loading_method="defer")
    app.add_css_file("predict.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
