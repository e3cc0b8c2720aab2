"""Turn a page's MyST into Markdown that every notebook shows; refuse what has no equal there."""

import html
import re
from dataclasses import dataclass

from book_sources import Book
from plain_roles import plain_roles
from questions import Choice, check_prediction, check_quiz, read_question
from refusal import RefusalError

OPENING = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:.-]+)\}[ \t]*(?P<argument>.*)$")
CODE_FENCE = re.compile(r"^\s*(?P<fence>`{3,}|~{3,})")
OPTION = re.compile(r"^:(?P<key>[\w-]+):[ \t]*(?P<value>.*)$")
# A label before a heading, a comment, a block break: the page's own, nothing to show.
SILENT = re.compile(r"^(\([^)]+\)=|%.*|\+\+\+.*)\s*$")
ADMONITIONS = {"note", "tip", "hint", "warning", "caution", "danger", "important", "seealso"}


@dataclass(frozen=True)
class Directive:
    """One directive: its name, the rest of its first line, its options and its content."""

    name: str
    argument: str
    options: dict[str, str]
    body: list[str]
    line: int


def blockquote(title: str, body: str) -> str:
    """Write a box as a quotation under a bold title."""
    lines = [f"**{title}**", "", *body.split("\n")] if body else [f"**{title}**"]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def details(title: str, body: str) -> str:
    """Write a box that opens on demand; no notebook reads Markdown in what it is opened by."""
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(title, quote=False))
    return f"<details>\n<summary>{shown}</summary>\n\n{body}\n\n</details>"


class PlainMarkdown:
    """Converts the text of one page; `file` and line numbers serve its refusals."""

    def __init__(self, book: Book, file: str) -> None:
        self.book = book
        self.file = file

    def convert(self, text: str, first_line: int = 1) -> str:
        """Return `text`, which starts on `first_line` of the file, as plain Markdown."""
        lines = text.split("\n")
        parts: list[str] = []
        prose: list[str] = []
        at = 0
        while at < len(lines):
            opening, code = OPENING.match(lines[at]), CODE_FENCE.match(lines[at])
            fence = opening or code
            if not fence:
                prose.append("" if SILENT.match(lines[at]) else lines[at])
                at += 1
                continue
            parts.append(self._prose(prose, first_line + at - len(prose)))
            prose = []
            end = self._closing(lines, at, fence["fence"], first_line)
            if opening:
                parts.append(self._directive(opening, lines[at + 1 : end], first_line + at))
            else:
                parts.append("\n".join(lines[at : end + 1]))
            at = end + 1
        parts.append(self._prose(prose, first_line + at - len(prose)))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip("\n")

    def _closing(self, lines: list[str], at: int, fence: str, first_line: int) -> int:
        """Find the line that closes the fence opened at `at`."""
        closing = re.compile(rf"^\s*{re.escape(fence)}{re.escape(fence[0])}*\s*$")
        for end in range(at + 1, len(lines)):
            if closing.match(lines[end]):
                return end
        raise RefusalError(self.file, first_line + at, f"nothing closes {lines[at].strip()!r}")

    def _prose(self, lines: list[str], first_line: int) -> str:
        return plain_roles("\n".join(lines), self.book, self.file, first_line)

    def _directive(self, opening: re.Match[str], body: list[str], line: int) -> str:
        options: dict[str, str] = {}
        skipped = 0
        while skipped < len(body) and (option := OPTION.match(body[skipped])):
            options[option["key"]] = option["value"]
            skipped += 1
        name, argument = opening["name"], opening["argument"].strip()
        below = line + 1 + skipped
        return self._write(Directive(name, argument, options, body[skipped:], below))

    def _write(self, directive: Directive) -> str:
        name, argument = directive.name, directive.argument
        if name in ADMONITIONS:
            return self._boxed(directive, name.capitalize(), argument)
        if name in ("admonition", "dropdown"):
            return self._boxed(directive, argument, "")
        if name in ("figure", "image"):
            return self._picture(directive)
        if name in ("predict", "quiz"):
            return self._question(directive)
        if name == "reveal":
            return details("When you have decided, open this", self._below(directive))
        if name == "viewer":
            stem = self.file.removeprefix(f"{self.book.folder.name}/").removesuffix(".md")
            address = f"{self.book.published}/{stem}.html"
            return f"*Here stands a picture that moves. It moves on [the page]({address}).*"
        content = "\n".join(directive.body).strip("\n")
        if name == "math":
            return f"$$\n{argument}{content}\n$$"
        if name in ("code", "code-block"):
            return f"```{argument}\n{content}\n```"
        raise self._refusal(directive, f"no plain Markdown for the directive {{{name}}}")

    def _refusal(self, directive: Directive, what: str) -> RefusalError:
        """Refuse a directive by its first line."""
        return RefusalError(self.file, directive.line - 1 - len(directive.options), what)

    def _below(self, directive: Directive) -> str:
        return self.convert("\n".join(directive.body), directive.line)

    def _question(self, directive: Directive) -> str:
        """Write a prediction as a quotation, a quiz with a box to open for each choice."""
        name, options = directive.argument, directive.options
        try:
            question = read_question(directive.body)
            if directive.name == "quiz":
                check_quiz(name, question)
            else:
                check_prediction(name, question, options)
        except ValueError as error:
            raise self._refusal(directive, str(error)) from None
        asked = self.convert("\n".join(question.text), directive.line)
        if directive.name == "quiz":
            boxes = [self._explained(choice, directive.line) for choice in question.choices]
            return "\n\n".join([blockquote("Question", asked), *boxes])
        labels = [self._label(choice, directive.line) for choice in question.choices]
        if "slider" in options:
            low, high, _ = options["slider"].split()
            labels = [" ".join(["a number from", low, "to", high, options.get("unit", "")]).strip()]
        listed = "\n".join(f"- {label}" for label in labels)
        return blockquote("Predict", f"{asked}\n\n{listed}")

    def _label(self, choice: Choice, line: int) -> str:
        return self._prose([choice.label], line + choice.line)

    def _explained(self, choice: Choice, line: int) -> str:
        reason = self.convert("\n".join(choice.reason), line + choice.line + 1)
        return details(self._label(choice, line), reason)

    def _boxed(self, directive: Directive, title: str, first: str) -> str:
        content = "\n".join([first, *directive.body] if first else directive.body)
        body = self.convert(content, directive.line - bool(first))
        hidden = directive.name == "dropdown" or "dropdown" in directive.options.get("class", "")
        title = self._prose([title], directive.line - 1)
        return details(title, body) if hidden else blockquote(title, body)

    def _picture(self, directive: Directive) -> str:
        address = directive.argument
        if "://" not in address:
            address = f"{self.book.raw_files}/{address}"
        picture = f"![{directive.options.get('alt', '')}]({address})"
        caption = self.convert("\n".join(directive.body), directive.line)
        return f"{picture}\n\n{caption}" if caption else picture
