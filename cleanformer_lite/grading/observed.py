"""What came of running one answer, made out from the bytes that it sent and from how it ended."""

import signal
from dataclasses import dataclass, field
from typing import Any

from cleanformer_lite.checks.exercise import Observations
from cleanformer_lite.grading.framing import BadFrame, decode


@dataclass(frozen=True)
class Observed:
    """What came of running one answer.

    `status` is "observed" (then there are facts to judge) or why there are none: missing, timeout,
    crashed, memory, refused. `notes` name statements of the file that raised. Times in seconds.
    """

    status: str
    facts: Observations = field(default_factory=dict)
    message: str = ""
    notes: tuple[str, ...] = ()
    cpu_seconds: float = 0.0
    peak_kib: int = 0


def understood(frame: bytes | None, ended: dict[str, Any], nonce: str) -> Observed:
    """Make sense of the bytes that came back and of how the process ended."""
    used = {"cpu_seconds": ended["cpu_seconds"], "peak_kib": ended["peak_kib"]}
    code = ended["exit"]
    if not ended["in_time"] or code == -signal.SIGXCPU:
        return Observed("timeout", message=f"stopped after {ended['seconds']:.1f} s", **used)
    if frame is None:
        return Observed("refused", message="sent back more than is allowed", **used)
    if code == -signal.SIGKILL:
        return Observed("memory", message="killed, as happens when memory runs out", **used)
    if code < 0:
        return Observed("crashed", message=f"killed by {signal.Signals(-code).name}", **used)
    if not frame:
        return Observed("crashed", message=f"ended with exit code {code}, no result", **used)
    try:
        message, facts = decode(frame)
    except BadFrame as error:
        return Observed("refused", message=f"a forged result: {error}", **used)
    if message.get("nonce") != nonce:
        return Observed("refused", message="a forged result: not from this run", **used)
    said, notes = str(message.get("said", ""))[:500], message.get("notes")
    notes = tuple(str(note)[:500] for note in notes[:8]) if isinstance(notes, list) else ()
    outcome = message.get("outcome")
    status = {"observed": "observed", "missing": "missing", "refused": "refused"}.get(
        outcome if isinstance(outcome, str) else "", "crashed"
    )
    if status == "crashed" and ran_out_of_memory(said):
        status = "memory"
    return Observed(status, facts, said, notes, **used)


def ran_out_of_memory(said: str) -> bool:
    """Say whether an error's text is that of Python or torch out of memory."""
    return said.startswith("MemoryError") or "can't allocate memory" in said
