from collections.abc import Iterator
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
def chromium() -> Iterator[Any]:
    # One for all: Playwright runs once in a process.
    from find_browser import ADVICE, find_browser
    from playwright.sync_api import sync_playwright

    path = find_browser()
    if path is None:
        pytest.fail(f"no browser. {ADVICE}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
