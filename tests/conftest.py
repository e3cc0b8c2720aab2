from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, and no verdict by the clock.
settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    max_examples=25,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("deterministic")


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    # One for all: Playwright runs once in a process.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


def launch(playwright: Any, kind: str, *, channel: str | None = None, **settings: Any) -> Any:
    """Start the machine's own browser, else the one that Playwright has downloaded."""
    from find_browser import KINDS, on_path

    its_own, path = getattr(playwright, kind), on_path(kind)
    if path:
        return its_own.launch(executable_path=path, channel=channel, **settings)
    if not Path(its_own.executable_path).exists():
        pytest.fail(f"no browser. {KINDS[kind].advice}")
    return its_own.launch(**settings)


@pytest.fixture(scope="session")
def chromium(playwright: Any) -> Iterator[Any]:
    browser = launch(playwright, "chromium", args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def firefox(playwright: Any) -> Iterator[Any]:
    """Start the system's Firefox: its contexts and pages are used like Chromium's.

    Playwright speaks to it in WebDriver BiDi, which cannot set a colour scheme for a context, nor
    reduced motion: the browser is light and at rest.
    """
    at_rest = {"ui.systemUsesDarkTheme": 0, "ui.prefersReducedMotion": 1}
    browser = launch(playwright, "firefox", channel="moz-firefox", firefox_user_prefs=at_rest)
    yield browser
    browser.close()
