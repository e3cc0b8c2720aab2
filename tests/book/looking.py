"""What can be seen of a built page without touching it, taken down in one visit."""

from dataclasses import dataclass, field
from typing import Any

from make_pdf import ALL_DRAWN, LOAD_VIEWERS

from tests.axe import violations

# What a browser with a network would fetch by itself.
FETCHED = "script[src], link[rel~=stylesheet], link[rel~=preload], link[rel~=icon], img, iframe"
# What may be wider than a phone, because it scrolls inside its own frame.
FRAMES = "pre, .highlight, math, table, .vis, .weights, svg, .cell_output, .viewer"
FACTS = """([FETCHED, FRAMES]) => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const visible = (selector) => all(selector).filter((element) => element.checkVisibility());
  const box = (element) => element.getBoundingClientRect();
  return {
    title: document.title,
    theme: document.documentElement.dataset.theme,
    headings: visible("h1").length,
    search_boxes: visible("input[type=search], .search-button-field").length,
    fetched: all(FETCHED).map((element) => element.src || element.href),
    described: all("article img").map((image) => image.alt),
    width: document.documentElement.scrollWidth,
    too_wide: all("article *")
      .filter((element) => !element.closest(FRAMES) && box(element).right > innerWidth + 1)
      .map((element) => element.outerHTML.slice(0, 80)),
    colab: all("a[href*='colab.research.google.com']").map((link) => link.href),
    cells: all("div.cell_input").length,
    copy_buttons: all("div.cell_input button.copybtn").length,
    icons: visible("[class*='fa-']")
      .map((icon) => [icon.className, getComputedStyle(icon).maskImage]),
    formulas: visible("math").map((formula) => [box(formula).width, box(formula).height]),
    head_views: all("[data-head-view]").map((view) => view.dataset.due),
  };
}"""


@dataclass
class Watched:
    """A page in the browser, with everything it asked for and complained of."""

    page: Any
    asked: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("requestfailed", lambda request: self.missing.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@dataclass(frozen=True)
class Seen:
    """What was seen of a page: FACTS by name, what it asked for, what axe holds against it."""

    facts: dict[str, Any]
    asked: list[str]
    missing: list[str]
    complaints: list[str]
    violations: list[str]


def draw_viewers(page: Any) -> None:
    """Have every viewer drawn, as it would be for a reader who has been everywhere."""
    page.evaluate(f"document.dispatchEvent(new Event('{LOAD_VIEWERS}'))")
    page.wait_for_function(ALL_DRAWN)


def look(page: Any, address: str) -> Seen:
    """Visit a page and take everything down."""
    watched = Watched(page)
    watched.listen()
    page.goto(address)
    draw_viewers(page)
    page.wait_for_timeout(100)  # a script that complains may do so late
    facts = page.evaluate(FACTS, [FETCHED, FRAMES])
    return Seen(facts, watched.asked, watched.missing, watched.complaints, violations(page))
