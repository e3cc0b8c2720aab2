"""Find the browsers that the pages are tested in; with --install, fetch those that are missing."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kind:
    """One of the two browsers, and how a machine may come by it."""

    name: str
    commands: tuple[str, ...]
    package: str  # Debian's

    @property
    def advice(self) -> str:
        """Say what to do where there is none."""
        return (
            f"Install {self.name} so that one of these is on the PATH: {', '.join(self.commands)}"
        )


KINDS = {
    "chromium": Kind(
        "Chromium or Chrome",
        ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
        "chromium",
    ),
    "firefox": Kind("Firefox", ("firefox-esr", "firefox"), "firefox-esr"),
}


def on_path(kind: str) -> str | None:
    """Return a browser that the machine already has."""
    return next(filter(None, map(shutil.which, KINDS[kind].commands)), None)


def from_playwright(kind: str) -> str | None:
    """Return the browser that Playwright downloaded for itself, if it did."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = str(getattr(playwright, kind).executable_path)
    return path if Path(path).exists() else None


def find_browser(kind: str) -> str | None:
    """Return the path of a `"chromium"` or a `"firefox"`, or None."""
    return on_path(kind) or from_playwright(kind)


def install(kind: str) -> None:
    """Try the system's packages when root, then Playwright's own download."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-q"], ["install", "-q", "-y", KINDS[kind].package]):
            subprocess.run(["apt-get", *command], env=environment, stdin=subprocess.DEVNULL)
    if not on_path(kind):
        subprocess.run([sys.executable, "-m", "playwright", "install", kind])


def main() -> int:
    """Print each browser's path, or what to do about there being none."""
    missing = 0
    for kind, browser in KINDS.items():
        if not find_browser(kind) and "--install" in sys.argv:
            install(kind)
        path = find_browser(kind)
        missing += path is None
        none = f"none, and none could be installed. {browser.advice}"
        print(f"{browser.name}: {path or none}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
