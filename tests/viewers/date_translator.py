"""Run the page's own arithmetic on many dates: in Node, or in Chromium where there is no Node."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

import cleanformer_lite.viewers

SCRIPT = Path(cleanformer_lite.viewers.__file__).with_name("date_translator.js")
RunScript = Callable[[str, Any], Any]


def run_in_node(body: str, given: Any) -> Any:
    """Run `body`, a function of `given`, behind the script; return what it returns."""
    code = f"""{SCRIPT.read_text(encoding="utf8")}
    const work = {body};
    const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
    console.log(JSON.stringify(work(given)));"""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "work.cjs"
        file.write_text(code, encoding="utf8")
        done = subprocess.run(
            ["node", file], input=json.dumps(given), capture_output=True, text=True, check=True
        )
    return json.loads(done.stdout)


def runner(chromium: Browser) -> RunScript:
    """Choose where to run: Node if there is one."""
    if shutil.which("node"):
        return run_in_node

    def run_in_chromium(body: str, given: Any) -> Any:
        page = chromium.new_page()
        try:
            code = f"{SCRIPT.read_text(encoding='utf8')}\nreturn ({body})(given);"
            return page.evaluate(
                "([code, given]) => new Function('given', code)(given)", [code, given]
            )
        finally:
            page.close()

    return run_in_chromium
