"""Report what Lighthouse, axe, vnu, html-validate and linkinator say of the built pages.

Served as the web does it: under the repository's name, compressed. Needs Node.js with npm, and Java
for vnu; the tools are installed beside the environment. What was found of a page is printed, and
written to _build/site-report.txt, as soon as it is known; a tool that fails is named, and the rest
goes on. A busy machine lowers Lighthouse's score for performance: ask for it on a quiet one.
"""

import argparse
import gzip
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from book_sources import Book
from find_browser import find_browser
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
REPORT = ROOT / "_build" / "site-report.txt"
TOOLS = ROOT / ".venv" / "site-report"
PACKAGES = {
    "lighthouse": "12.8.2",
    "html-validate": "10.17.0",
    "linkinator": "7.6.1",
    "axe-core": "4.14.1",
    "vnu-jar": "26.9.27",
}
FIVE = [
    "index",
    "book/01_single_head",
    "book/04_split_heads",
    "book/07_transformer",
    "book/species",
]
DEVICES = ["mobile", "desktop"]
# Without a screen and without what Chromium fetches for itself.
CHROME = "--headless=new --no-sandbox --disable-gpu --disable-background-networking"
PERFORMANCE_ALONE = ["--only-categories=performance", "--disable-full-page-screenshot"]
# Sections out of sight are laid out while nothing else happens: book/_static/sections.js.
LAID_OUT = """[...document.querySelectorAll(".bd-article section section")]
  .every((section) => getComputedStyle(section).contentVisibility === "visible")"""
CATEGORIES = ["performance", "accessibility", "best-practices", "seo"]
HEADINGS = ["page", "mobile", "desktop", "load s", "shift", "kB", "axe", "vnu", "html-validate"]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site under the repository's name, and compresses text, as the web does."""

    protocol_version = "HTTP/1.1"  # connections are kept, as on the web
    prefix = urlsplit(Book(ROOT / "book").site).path

    def do_GET(self) -> None:
        """Answer with a file, compressed where it is text."""
        path = Path(self.translate_path(self.path.removeprefix(self.prefix) or "/"))
        path = path / "index.html" if path.is_dir() else path
        found = self.path.startswith(self.prefix) and path.is_file()
        content = (path if found else SITE / "404.html").read_bytes()
        kind = self.guess_type(path if found else "404.html")
        text = kind.startswith("text/") or kind.endswith(("javascript", "json", "xml"))
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if text else kind)
        self.send_header("Cache-Control", "max-age=600")
        if text:
            content = gzip.compress(content)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[str]:
    """Serve the built book, and give the address of its root."""
    server = http.server.ThreadingHTTPServer(
        ("localhost", 0), partial(Handler, directory=str(SITE))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}{Handler.prefix}/"
    server.shutdown()


def install() -> str | None:
    """Install the tools; return what is missing, or None."""
    if shutil.which("npm") is None:
        return "The report needs Node.js with npm on the PATH."
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    if not (TOOLS / "node_modules" / "axe-core").exists():
        subprocess.run(["npm", "install", "--silent", "--prefix", str(TOOLS), *wanted], check=True)
    return None if find_browser("chromium") else "The report needs Chromium."


def run(*command: str, seconds: int = 180) -> str:
    """Run a command, and return what it prints, with or without findings.

    Raises: RuntimeError if it does not end in time; what it has started ends with it.
    """
    environment = {**os.environ, "CHROME_PATH": find_browser("chromium") or ""}
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise RuntimeError(f"not done after {seconds} seconds") from None


def tool(name: str) -> str:
    """Return the path of a tool that npm has installed."""
    return str(TOOLS / "node_modules" / ".bin" / name)


def ask_lighthouse(address: str, device: str, *flags: str) -> dict[str, Any]:
    """Return the scores, and load time, layout shift and weight, of one page on one device."""
    answer = TOOLS / "lighthouse.json"
    answer.unlink(missing_ok=True)
    preset = ["--preset=desktop"] if device == "desktop" else []
    output = ["--quiet", "--output=json", f"--output-path={answer}"]
    printed = run(tool("lighthouse"), address, f"--chrome-flags={CHROME}", *output, *preset, *flags)
    if not answer.exists():
        raise RuntimeError(printed.strip().splitlines()[-1] if printed.strip() else "no answer")
    told = json.loads(answer.read_text(encoding="utf8"))
    audits = told["audits"]
    scores = [told["categories"].get(name, {}).get("score") for name in CATEGORIES]
    failed = [
        name
        for name, audit in audits.items()
        if audit.get("score") == 0 and audit["scoreDisplayMode"] == "binary"
    ]
    return {
        "scores": "/".join("–" if score is None else f"{100 * score:.0f}" for score in scores),
        "load": audits["largest-contentful-paint"].get("numericValue", 0) / 1000,
        "paint": audits["first-contentful-paint"].get("numericValue", 0) / 1000,
        "blocked": audits["total-blocking-time"].get("numericValue", 0),
        "shift": audits["cumulative-layout-shift"].get("numericValue", 0),
        "weight": audits["total-byte-weight"].get("numericValue", 0) / 1000,
        "failed": failed,
    }


def ask_axe(browser: Any, address: str) -> list[str]:
    """Return every rule of the newest axe that something on the page breaks."""
    page = browser.new_page()
    page.goto(address)
    page.wait_for_function(LAID_OUT)
    page.wait_for_timeout(200)  # what is too wide by now is reached by the keyboard
    page.evaluate((TOOLS / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    page.close()
    return [f"axe {rule['id']}: {len(rule['nodes'])}" for rule in found["violations"]]


def ask_html_validate(file: Path) -> list[str]:
    """Return the rules of html-validate's standard set that the page breaks."""
    config, told = TOOLS / "htmlvalidate.json", TOOLS / "told.json"
    config.write_text(json.dumps({"root": True, "extends": ["html-validate:standard"]}))
    run(tool("html-validate"), f"--config={config}", f"--formatter=json={told}", str(file))
    pages = json.loads(told.read_text(encoding="utf8"))
    return [f"html-validate {m['ruleId']}" for page in pages for m in page["messages"]]


def ask_vnu(file: Path) -> list[str] | None:
    """Return the errors of the W3C's validator, or None where there is no Java for it."""
    if shutil.which("java") is None:
        return None
    jar = TOOLS / "node_modules" / "vnu-jar" / "build" / "dist" / "vnu.jar"
    told = run("java", "-jar", str(jar), "--format", "json", "--errors-only", str(file))
    return [f"vnu {m['message']}" for m in json.loads(told)["messages"]]


def look(browser: Any, root: str, name: str) -> tuple[list[str], list[str]]:
    """Return a page's line of the table, and every finding."""
    address = root if name == "index" else f"{root}{name}.html"
    file = SITE / f"{name}.html"
    findings: list[str] = []

    def ask(who: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            findings.append(f"{who} failed: {error}")
            return None

    told = [
        ask(f"lighthouse ({device})", partial(ask_lighthouse, address, device))
        for device in DEVICES
    ]
    line = [name, *(one["scores"] if one else "failed" for one in told)]
    for value, digits in (("load", 1), ("shift", 3), ("weight", 0)):
        line.append(f"{max((one[value] for one in told if one), default=0):.{digits}f}")
    for who, question in (
        ("axe", partial(ask_axe, browser, address)),
        ("vnu", partial(ask_vnu, file)),
        ("html-validate", partial(ask_html_validate, file)),
    ):
        found = ask(who, question)
        line.append("–" if found is None else str(len(found)))
        findings += found or []
    failed = sorted({rule for one in told if one for rule in one["failed"]})
    return line, findings + [f"lighthouse {rule}" for rule in failed]


def tell(text: str) -> None:
    """Print a line beside the progress bar, and add it to the report."""
    tqdm.write(text)
    with REPORT.open("a", encoding="utf8") as report:
        report.write(f"{text}\n")


def report_scores(root: str, names: list[str]) -> None:
    """Print what Lighthouse says of the performance of each page on each device."""
    tell("page | device | performance | first paint s | load s | blocked ms | shift | kB")
    with tqdm(total=len(names) * len(DEVICES), unit="visit") as progress:
        for name in names:
            for device in DEVICES:
                address = root if name == "index" else f"{root}{name}.html"
                try:
                    told = ask_lighthouse(address, device, *PERFORMANCE_ALONE)
                    tell(
                        f"{name} | {device} | {told['scores'].split('/')[0]} | {told['paint']:.1f}"
                        f" | {told['load']:.1f} | {told['blocked']:.0f} | {told['shift']:.3f}"
                        f" | {told['weight']:.0f}"
                    )
                except (RuntimeError, OSError, ValueError, KeyError) as error:
                    tell(f"{name} | {device} | failed: {error}")
                progress.update()


def report_everything(root: str, names: list[str]) -> None:
    """Print the table, each page's findings with it, then the links that lead nowhere."""
    from playwright.sync_api import sync_playwright

    tell(f"Lighthouse's {', '.join(CATEGORIES)}; load: the largest paint, throttled as on a phone")
    tell(" | ".join(HEADINGS))
    with sync_playwright() as playwright:
        path = find_browser("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name in tqdm(names, unit="page"):
            line, found = look(browser, root, name)
            tell(" | ".join(line))
            for finding in sorted(set(found)):
                tell(f"    {finding} ({found.count(finding)} times)")
        browser.close()
    try:
        only_ours = ["--skip", f"^(?!{root})"]
        links = run(tool("linkinator"), root, "--recurse", *only_ours, "--format", "csv")
        broken = [line for line in links.splitlines() if "BROKEN" in line]
        tell(f"links: {len(links.splitlines())} looked at, {len(broken)} broken")
        for link in broken:
            tell(f"    {link}")
    except RuntimeError as error:
        tell(f"linkinator failed: {error}")


def main() -> int:
    """Read which pages to look at and what for, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help=f"such as {FIVE[1]}; without any, {len(FIVE)}")
    parser.add_argument("--all", action="store_true", help="look at every page")
    parser.add_argument("--scores", action="store_true", help="performance alone: a few minutes")
    given = parser.parse_args()
    missing = install() or (None if SITE.exists() else "There is no book: run `make book` first.")
    if missing:
        print(missing, file=sys.stderr)
        return 1
    pages = sorted(p.relative_to(SITE).with_suffix("").as_posix() for p in SITE.rglob("*.html"))
    unknown = [name for name in given.pages if name not in pages]
    if unknown:
        parser.error(f"wanted pages of the book, got {', '.join(unknown)}")
    every = [p for p in pages if p != "404"]
    names = every if given.all else given.pages or FIVE
    REPORT.write_text("", encoding="utf8")
    with served() as root:
        (report_scores if given.scores else report_everything)(root, names)
    print(f"The report: {REPORT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
