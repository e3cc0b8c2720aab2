"""The report of an examination: bugs, properties that hold, notes, and open questions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


class AttentionBugError(AssertionError):
    """Raised by `raise_for_bugs` and `assert_attention`; its text is the report."""


@dataclass(frozen=True)
class Finding:
    """One bug: what was observed, the mistake behind it if that is certain, and a case.

    `mistake` is a name from `MISTAKES`, empty if none can be proved.
    """

    what: str
    mistake: str = ""
    cause: str = ""
    thread: str = ""
    fix: str = ""
    tried: str = ""
    yours: str = ""
    target: str = ""

    def lines(self, most: int = 3) -> list[str]:
        """Write the bug in three lines, or in fewer if a module has several bugs."""
        name = f" [{self.mistake}]" if self.mistake else ""
        first = f"BUG{name} {self.what}"
        found = [first + (f": {self.cause}." if self.cause else ".")]
        if self.tried:
            found.append(f"  tried {self.tried}; yours: {self.yours}; expected: {self.target}")
        if self.fix:
            found.append(
                f"  fix: {self.fix}" + (f" (seen in {self.thread})" if self.thread else "")
            )
        if most == 1:
            return [f"{first}." + (f" Fix: {self.fix}" if self.fix else "")]
        return found if len(found) <= most else [found[0], ";".join(found[1:])]


@dataclass
class ModuleReport:
    """The report on one attention.

    `reads` says which output (row) changes with which token (column) in the recorded call.
    """

    where: str
    what: str
    findings: list[Finding] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    reads: list[list[bool]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Write the report in at most eight lines."""
        found = [f"{self.where or '(the module)'}: {self.what}"]
        most = {1: 3, 2: 2}.get(len(self.findings), 1)
        shown = self.findings if len(self.findings) <= 4 else self.findings[:3]
        for finding in shown:
            found += finding.lines(most)
        if len(self.findings) > len(shown):
            rest = ", ".join(f.mistake or f.what for f in self.findings[len(shown) :])
            found.append(f"BUG and {len(self.findings) - len(shown)} more: {rest}")
        if not self.findings:
            found.append("no bug found")
        for title, texts in (("holds", self.holds), ("note", self.notes)):
            if texts:
                found.append(f"  {title}: {'; '.join(texts)}")
        if self.unknown:
            found.append(f"  not asked: {'; '.join(self.unknown)}")
        return found

    @property
    def content(self) -> tuple[object, ...]:
        """Return everything but the name, so that equal layers are shown once."""
        bugs = tuple((f.mistake, f.what) for f in self.findings)
        return (self.what, bugs, tuple(self.holds), tuple(self.unknown))


@dataclass
class ExamineReport:
    """The result of `examine`: one report for each attention found."""

    modules: list[ModuleReport] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        return [finding for module in self.modules for finding in module.findings]

    @property
    def holds(self) -> list[str]:
        return list(dict.fromkeys(text for module in self.modules for text in module.holds))

    @property
    def notes(self) -> list[str]:
        return list(dict.fromkeys(text for module in self.modules for text in module.notes))

    @property
    def unknown(self) -> list[str]:
        return list(dict.fromkeys(text for module in self.modules for text in module.unknown))

    @property
    def passed(self) -> bool:
        """Whether something was examined and no bug was found."""
        return bool(self.modules) and not self.findings

    def raise_for_bugs(self, allow: set[str] | None = None) -> None:
        """Raise if there is a bug, unless its mistake is one of `allow`.

        Raises: AttentionBugError, whose text is the report; ValueError if nothing was examined.
        """
        if not self.modules:
            raise ValueError(f"no attention was examined: {'; '.join(self.remarks)}")
        if [f for f in self.findings if f.mistake not in (allow or set()) or not f.mistake]:
            raise AttentionBugError(str(self))

    def groups(self) -> Iterator[tuple[ModuleReport, list[str]]]:
        """Yield each different report with the names of the modules that share it."""
        seen: dict[tuple[object, ...], tuple[ModuleReport, list[str]]] = {}
        for module in self.modules:
            seen.setdefault(module.content, (module, []))[1].append(module.where)
        yield from seen.values()

    def __str__(self) -> str:
        lines: list[str] = []
        for module, names in self.groups():
            first, *rest = module.lines()
            also = f" (and {len(names) - 1} more like it)" if len(names) > 1 else ""
            lines += [first + also, *rest]
        return "\n".join([*lines, *self.remarks]) or "nothing was examined"

    __repr__ = __str__

    def as_json(self) -> str:
        """Write everything as JSON."""
        content: dict[str, Any] = {
            "passed": self.passed,
            "modules": [asdict(module) for module in self.modules],
            "remarks": self.remarks,
        }
        return json.dumps(content, indent=1, ensure_ascii=False)

    def _repr_html_(self) -> str:
        from cleanformer_lite.checks.examination.page import as_html

        return as_html(self)


__all__ = ["AttentionBugError", "ExamineReport", "Finding", "ModuleReport"]
