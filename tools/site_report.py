"""Report what Lighthouse, axe, vnu, html-validate and linkinator say of the built pages.

Served as the web does it: under the repository's name, compressed. Needs Node.js with npm, and Java
for vnu; the tools are installed beside the environment. `--all` looks at every page, else at five.
"""

import gzip
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
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
CATEGORIES = ["performance", "accessibility", "best-practices", "seo"]
HEADINGS = ["page", "mobile", "desktop", "load s", "shift", "kB", "axe", "vnu", "html-validate"]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site under the repository's name, and compresses text, as the web does."""

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


def run(tool: str, *words: str) -> str:
    """Run one of the tools, and return what it prints, findings or not."""
    environment = {**os.environ, "CHROME_PATH": find_browser("chromium") or ""}
    command = [str(TOOLS / "node_modules" / ".bin" / tool), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT).stdout


def ask_lighthouse(address: str, device: str) -> dict[str, Any]:
    """Return the scores, and load time, layout shift and weight, of one page on one device."""
    flags = ["--chrome-flags=--headless=new --no-sandbox", "--output=json", "--quiet"]
    preset = ["--preset=desktop"] if device == "desktop" else []
    told = json.loads(run("lighthouse", address, *flags, *preset))
    audits = told["audits"]
    scores = [told["categories"][name]["score"] for name in CATEGORIES]
    failed = [
        name
        for name, audit in audits.items()
        if audit.get("score") == 0 and audit["scoreDisplayMode"] == "binary"
    ]
    return {
        "scores": "/".join("–" if score is None else f"{100 * score:.0f}" for score in scores),
        "load": audits["largest-contentful-paint"]["numericValue"] / 1000,
        "shift": audits["cumulative-layout-shift"]["numericValue"],
        "weight": audits["total-byte-weight"]["numericValue"] / 1000,
        "failed": failed,
    }


def ask_axe(browser: Any, address: str) -> list[str]:
    """Return every rule of the newest axe that something on the page breaks."""
    page = browser.new_page()
    page.goto(address)
    page.evaluate((TOOLS / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    page.close()
    return [f"axe {rule['id']}: {len(rule['nodes'])}" for rule in found["violations"]]


def ask_html_validate(file: Path) -> list[str]:
    """Return the rules of html-validate's standard set that the page breaks."""
    config, told = TOOLS / "htmlvalidate.json", TOOLS / "told.json"
    config.write_text(json.dumps({"root": True, "extends": ["html-validate:standard"]}))
    run("html-validate", f"--config={config}", f"--formatter=json={told}", str(file))
    pages = json.loads(told.read_text(encoding="utf8"))
    return [f"html-validate {m['ruleId']}" for page in pages for m in page["messages"]]


def ask_vnu(file: Path) -> list[str] | None:
    """Return the errors of the W3C's validator, or None where there is no Java for it."""
    if shutil.which("java") is None:
        return None
    jar = TOOLS / "node_modules" / "vnu-jar" / "build" / "dist" / "vnu.jar"
    command = ["java", "-jar", str(jar), "--format", "json", "--errors-only", str(file)]
    told = subprocess.run(command, capture_output=True, text=True).stderr
    return [f"vnu {m['message']}" for m in json.loads(told)["messages"]]


def look(browser: Any, root: str, name: str) -> tuple[list[str], list[str]]:
    """Return a page's line of the table, and every finding."""
    address = root if name == "index" else f"{root}{name}.html"
    file = SITE / f"{name}.html"
    mobile, desktop = (ask_lighthouse(address, device) for device in ("mobile", "desktop"))
    axe, validate, vnu = ask_axe(browser, address), ask_html_validate(file), ask_vnu(file)
    findings = [f"lighthouse {f}" for f in mobile["failed"]] + axe + validate + (vnu or [])
    line = [name, mobile["scores"], desktop["scores"], f"{mobile['load']:.1f}"]
    line += [f"{max(mobile['shift'], desktop['shift']):.3f}", f"{mobile['weight']:.0f}"]
    line += [str(len(axe)), "–" if vnu is None else str(len(vnu)), str(len(validate))]
    return line, findings


def main() -> int:
    """Print the table, then what each page is marked down for, then the links that lead nowhere."""
    from playwright.sync_api import sync_playwright

    missing = install() or (None if SITE.exists() else "There is no book: run `make book` first.")
    if missing:
        print(missing, file=sys.stderr)
        return 1
    pages = sorted(p.relative_to(SITE).with_suffix("").as_posix() for p in SITE.rglob("*.html"))
    names = [p for p in pages if p != "404"] if "--all" in sys.argv else FIVE
    findings: dict[str, list[str]] = {}
    print(f"Lighthouse's {', '.join(CATEGORIES)}; load: the largest paint, throttled as on a phone")
    print(" | ".join(HEADINGS))
    with served() as root, sync_playwright() as playwright:
        path = find_browser("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name in tqdm(names, unit="page"):
            line, findings[name] = look(browser, root, name)
            tqdm.write(" | ".join(line))
        browser.close()
        links = run("linkinator", root, "--recurse", "--skip", f"^(?!{root})", "--format", "csv")
    for name, found in findings.items():
        for finding in sorted(set(found)):
            print(f"{name}: {finding} ({found.count(finding)} times)")
    broken = [line for line in links.splitlines() if "BROKEN" in line]
    print(f"links: {len(links.splitlines())} looked at, {len(broken)} broken", *broken, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
