"""Find a Chromium to test the built pages with; with --install, fetch one where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
ADVICE = "Install Chromium or Chrome so that one of these is on the PATH: " + ", ".join(NAMES)


def on_path() -> str | None:
    """Return a browser that the machine already has."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def from_playwright() -> str | None:
    """Return the browser that Playwright downloaded for itself, if it did."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def find_browser() -> str | None:
    """Return the path of a Chromium, or None."""
    return on_path() or from_playwright()


def install() -> None:
    """Try the system's packages when root, then Playwright's own download."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-q"], ["install", "-q", "-y", "chromium"]):
            subprocess.run(["apt-get", *command], env=environment, stdin=subprocess.DEVNULL)
    if not on_path():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"])


def main() -> int:
    """Print the browser's path, or what to do about there being none."""
    if not find_browser() and "--install" in sys.argv:
        install()
    path = find_browser()
    print(f"Browser: {path}" if path else f"No browser, and none could be installed. {ADVICE}")
    return 0 if path else 1


if __name__ == "__main__":
    sys.exit(main())
