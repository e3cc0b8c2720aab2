"""Measure what a frame of the attention stage costs on a processor slowed down four times.

    python tools/measure_frames.py            # as a phone shows it; --width 1000 for a desk

Chromium walks through the steps by Next and traces itself. The work of the main thread is given in
milliseconds of processor time, which other work on the machine lengthens less than it does time by
the clock. The frames a second need a quiet machine.
"""

import argparse
import json
import os
import statistics
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from find_browser import find_browser
from playwright.sync_api import Page, sync_playwright

from cleanformer_lite.viewers import stage
from cleanformer_lite.viewers.attention_stage import STEPS

SLOWER = 4
Costs = dict[str, float]
CATEGORIES = ["toplevel", "devtools.timeline", "blink.user_timing"]
KINDS = {
    "EventDispatch": "script",
    "FunctionCall": "script",
    "FireAnimationFrame": "script",
    "TimerFire": "script",
    "UpdateLayoutTree": "style",
    "Layout": "layout",
    "PrePaint": "paint",
    "Paint": "paint",
    "Layerize": "paint",
    "Commit": "paint",
}
SHELL = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>{}</body></html>"""
# Presses Next and returns the step with the times of the frames of the second that follows.
STEP = """async () => {
  const frames = [];
  let counting = true;
  const count = (now) => counting && (frames.push(now), requestAnimationFrame(count));
  performance.mark("step");
  [...document.querySelectorAll("button")].find((one) => one.textContent === "Next →").click();
  requestAnimationFrame(count);
  await new Promise((done) => setTimeout(done, 1000));
  counting = false;
  performance.mark("rest");
  return [document.querySelector("[aria-current]").textContent, frames];
}"""


def walk(page: Page, trace: Path) -> list[tuple[str, list[float]]]:
    """Go once through all steps, and write what the browser traced."""
    browser = page.context.browser
    assert browser is not None
    page.evaluate("document.querySelector('.viewer').viewerModel.set('step', 'words')")
    page.wait_for_timeout(1000)
    browser.start_tracing(page=page, path=trace, categories=CATEGORIES)
    steps = [tuple(page.evaluate(STEP)) for _ in STEPS[1:]]
    browser.stop_tracing()
    return steps


def main_thread(trace: Path) -> list[dict[str, Any]]:
    """Return the events of the thread on which the steps were marked, in their order."""
    events = json.loads(trace.read_text(encoding="utf8"))["traceEvents"]
    mark = next(event for event in events if event.get("name") == "step")
    mine = [event for event in events if all(event.get(k) == mark[k] for k in ("pid", "tid"))]
    return sorted(mine, key=lambda event: float(event.get("ts", 0)))


def cost(event: dict[str, Any]) -> float:
    """Return an event's milliseconds of processor time."""
    return float(event.get("tdur", 0)) / 1000


def sum_up(events: list[dict[str, Any]]) -> list[tuple[list[float], Costs]]:
    """Return, for each step, what its tasks cost, and how much of it was of which kind."""
    steps: list[tuple[list[float], Costs]] = []
    counting = False
    for event in events:
        name = event.get("name", "")
        if name in ("step", "rest"):
            counting = name == "step"
            if counting:
                steps.append(([], defaultdict(float)))
        elif counting and event.get("ph") == "X":
            if name.endswith("RunTask"):
                steps[-1][0].append(cost(event))
            elif name in KINDS:
                steps[-1][1][KINDS[name]] += cost(event)
    return steps


def report(steps: list[tuple[str, list[float]]], costs: list[tuple[list[float], Costs]]) -> None:
    """Print a line for each step."""
    kinds = ("script", "style", "layout", "paint")
    print(
        f"{'step':<12}{'longest':>9}{'a frame':>9}",
        *(f"{kind:>8}" for kind in kinds),
        "  frames/s  worst",
    )
    for (step, frames), (tasks, by_kind) in zip(steps, costs, strict=True):
        gaps = [after - before for before, after in pairwise(frames)]
        rest = (sum(tasks) - max(tasks)) / max(1, len(frames) - 1)
        print(
            f"{step:<12}{max(tasks):>6.1f} ms{rest:>6.1f} ms",
            *(f"{by_kind[kind]:>8.1f}" for kind in kinds),
            f"{1000 / statistics.mean(gaps):>10.0f}{max(gaps):>6.0f} ms",
        )


def main() -> None:
    """Walk twice, so that everything has been compiled, and report the second time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--width", type=int, default=390, help="of the window, in pixels")
    parser.add_argument("--mode", default="split", choices=["loop", "split", "sliced"])
    arguments = parser.parse_args()
    path = find_browser("chromium")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": arguments.width, "height": 844})
        file, trace = Path(folder) / "stage.html", Path(folder) / "trace.json"
        file.write_text(SHELL.format(stage(mode=arguments.mode).page()), encoding="utf8")
        page.goto(file.as_uri())
        page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        walk(page, trace)
        load = os.getloadavg()[0]
        steps = walk(page, trace)
        report(steps, sum_up(main_thread(trace)))
        print(f"processor / {SLOWER}, {arguments.width} px, load {load:.1f} before the walk")
        browser.close()


if __name__ == "__main__":
    main()
