import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

BOTH = ("chromium", "firefox")
SHELL = """<!doctype html><html lang="en" {theme}><head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A viewer</title></head><body>{body}</body></html>"""

# The same module as a widget's front end loads it: by address, with a model that it hands in.
LIVE = """<style>{style}</style><div id="live"></div>
<script type="application/json" id="state">{state}</script>
<script type="application/json" id="module">{module}</script>
<script type="module">
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const file = new Blob([read("module")], {{ type: "text/javascript" }});
const {{ default: viewer }} = await import(URL.createObjectURL(file));
const state = read("state"), listeners = {{}};
const model = {{
  get: (name) => state[name],
  set(name, value) {{ this.update({{ [name]: value }}); }},
  update(values) {{  // what one message brings is all there before anybody is told
    Object.assign(state, values);
    for (const name in values)
      (listeners["change:" + name] ?? []).forEach((listener) => listener());
  }},
  on: (event, listener) => (listeners[event] ??= []).push(listener),
  save_changes: () => window.saved?.(state),
}};
window.model = model;
viewer.render({{ model, el: document.getElementById("live") }});
</script>"""


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Any:
    """Chromium, or what a test names with `parametrize("browser", BOTH, indirect=True)`."""
    return request.getfixturevalue(getattr(request, "param", "chromium"))


@pytest.fixture
def open_html(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(body: str, *, theme: str = "", **settings: Any) -> Page:
        file = tmp_path / f"{len(contexts)}.html"
        file.write_text(SHELL.format(body=body, theme=theme), encoding="utf8")
        if browser.browser_type.name == "chromium":  # Firefox is at rest already
            settings["reduced_motion"] = "reduce"
        contexts.append(browser.new_context(offline=True, **settings))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    # A viewer that complains, or asks the network for anything, fails its test.
    assert complaints == []


@pytest.fixture
def open_page(open_html: Callable[..., Page]) -> Callable[..., Page]:
    """Open a viewer as a published page shows it."""
    return lambda viewer, **settings: open_html(viewer.page(), **settings)


@pytest.fixture
def open_live(open_html: Callable[..., Page]) -> Callable[..., Page]:
    """Open a viewer as a widget's front end mounts it."""

    def opened(viewer: Any, **settings: Any) -> Page:
        def text(value: Any) -> str:
            return json.dumps(value).replace("<", "\\u003c")

        state = {name: getattr(viewer, name) for name in viewer.shown}
        body = LIVE.format(style=viewer._css, state=text(state), module=text(str(viewer._esm)))
        page = open_html(body, **settings)
        page.wait_for_selector("#live .says")
        return page

    return opened
