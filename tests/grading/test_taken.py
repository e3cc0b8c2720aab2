"""Right answers that are taken from the package are named, by whatever road they are reached."""

import inspect
import sys
from pathlib import Path

import pytest

from cleanformer_lite import SplitMultiHeadAttention
from cleanformer_lite.checks import EXERCISES
from cleanformer_lite.checks.grading.paper import grade_file
from cleanformer_lite.checks.grading.result import Result
from cleanformer_lite.checks.grading.runner import Runner
from cleanformer_lite.checks.grading.submissions import Submission, load
from cleanformer_lite.checks.grading.wire import MOST_NOTES, NOTE, encode_note, without_notes
from tests.grading.handed_in import RIGHT, notebook
from tests.grading.running import graded

SOLUTIONS = Path(__file__).parents[2] / "book" / "solutions"
MERGE_BODY = "x.transpose(1, 2).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])"
MERGES = "cleanformer_lite.split_heads.merge_heads"
# None of them mentions the package; `p` is put together from parts, `ours` is its function.
HIDDEN = 'p = "".join(["clean", "former", "_", "lite"])\n'
ROADS = {
    "importlib": (
        "import importlib as i\nmerge_heads = i.import_module(p + '.split_heads').merge_heads",
        (f"reads {MERGES}", f"is {MERGES}"),
    ),
    "a look into the modules": (
        "import sys\nm = getattr(sys, 'mod' + 'ules')\n"
        "def merge_heads(x): return m[p + '.split_heads'].merge_heads(x)",
        (f"reads {MERGES}", f"runs {MERGES}"),
    ),
    "at the last moment": (
        "def merge_heads(x):\n    m = eval('__imp' + 'ort__')(p)\n"
        "    return getattr(m, 'merge' + '_heads')(x)",
        (f"reads {MERGES}", f"runs {MERGES}"),
    ),
    "decoded text": (
        "import codecs\nt = codecs.decode('sebz pyrnasbezre_yvgr vzcbeg zretr_urnqf', 'rot13')\n"
        "exec(t)\nmerge_heads = merge_heads",
        (f"reads {MERGES}", f"is {MERGES}"),
    ),
    "all names of a module": (
        "import sys\nm = getattr(sys, 'mod' + 'ules')\n"
        "merge_heads = m[p + '.split_heads'].__dict__['merge_heads']",
        ("reads cleanformer_lite.split_heads.__dict__", f"is {MERGES}"),
    ),
    "a module's names, behind its back": (
        "import sys\nm = getattr(sys, 'mod' + 'ules')\n"
        "ours = object.__getattribute__(m[p + '.split_heads'], '__dict__')['merge_heads']\n"
        "def merge_heads(x): return ours(x)",
        (f"uses {MERGES}", f"runs {MERGES}"),
    ),
    "a pickle": (
        "import _pickle\n"
        "merge_heads = _pickle.loads(('c' + p + '.split_heads\\nmerge_heads\\n.').encode())",
        (f"unpickles {MERGES}", f"is {MERGES}"),
    ),
    "what the collector knows": (
        "import gc, sys\nm = getattr(sys, 'mod' + 'ules')[p + '.split_heads']\n"
        "held = getattr(gc, 'get' + '_referents')(m)\n"
        "(ours,) = [names['merge_heads'] for names in held if isinstance(names, dict)]\n"
        "def merge_heads(x): return ours(x)",
        ("looks through the interpreter with gc.get_referents", f"runs {MERGES}"),
    ),
    "a class among all classes": (
        "import torch\nname = 'SplitMulti' + 'HeadAttention'\n"
        "def kinds(c):\n    for k in getattr(c, '__sub' + 'classes__')():\n"
        "        yield k\n        yield from kinds(k)\n"
        "ours = [k for k in kinds(torch.nn.Module) if k.__name__ == name]\n"
        "def merge_heads(x):\n    batch, heads, length, width = x.shape\n"
        "    assert ours[0](4, 2)(torch.zeros(1, 3, 4)).shape == (1, 3, 4)\n"
        "    return x.transpose(1, 2).reshape(batch, length, heads * width)",
        ("runs cleanformer_lite.split_heads.SplitMultiHeadAttention.__init__",),
    ),
    "the judge's own": (
        "import sys\nm = getattr(sys, 'mod' + 'ules')\n"
        "merge_heads = m[p + '.checks.engine.references'].merge_heads",
        ("is cleanformer_lite.checks.engine.references.merge_heads",),
    ),
    "its code in another function": (
        "import sys, types\nm = getattr(sys, 'mod' + 'ules')[p + '.split_heads']\n"
        "ours = object.__getattribute__(m, '__dict__')['merge_heads']\n"
        "merge_heads = types.FunctionType(getattr(ours, '__co' + 'de__'), {})",
        (f"reads the code of {MERGES}", f"has the code of {MERGES}"),
    ),
    "its source, compiled again": (
        "import sys\nm = getattr(sys, 'mod' + 'ules')\nfile = m[p + '.split_heads'].__file__\n"
        "exec(open(file).read())\nmerge_heads = merge_heads",
        ("opens cleanformer_lite/split_heads.py",),
    ),
    "its source, by the loader": (
        "import sys\nm = getattr(sys, 'mod' + 'ules')[p + '.split_heads']\n"
        "exec(m.__loader__.get_source(m.__name__))\nmerge_heads = merge_heads",
        ("opens cleanformer_lite/split_heads.py",),
    ),
    "wrapped": (
        "import functools, sys\nm = getattr(sys, 'mod' + 'ules')\n"
        "merge_heads = functools.partial(m[p].merge_heads)",
        (f"reads {MERGES}", f"uses {MERGES}"),
    ),
    "through frames": (
        "import sys\nf = getattr(sys, '_get' + 'frame')()\n"
        "while 'EXERCISES' not in f.f_globals: f = f.f_back\n"
        "ours = f.f_globals['EXERCISES']['split_heads.merge'].probe.reference\n"
        "def merge_heads(x): return ours(x)",
        ("looks into what called it", "uses cleanformer_lite.checks.engine.references.merge"),
    ),
    "through an error": (
        "try: 1 / 0\nexcept ZeroDivisionError as e: f = e.__traceback__.tb_frame\n"
        "while 'EXERCISES' not in f.f_globals: f = f.f_back\n"
        "ours = f.f_globals['EXERCISES']['split_heads.merge'].probe.reference\n"
        "def merge_heads(x): return ours(x)",
        ("looks into what called it", "runs cleanformer_lite.checks.engine.references.merge"),
    ),
    "by way of C": (
        "import ctypes\nctypes.pythonapi.PyImport_ImportModule.restype = ctypes.py_object\n"
        "ours = ctypes.pythonapi.PyImport_ImportModule(p.encode())\n"
        "def merge_heads(x): return ours.merge_heads(x)",
        ("calls C through ctypes", f"reads {MERGES}", f"runs {MERGES}"),
    ),
    "in the name of a library": (
        "import sys, torch\nm = getattr(sys, 'mod' + 'ules')\n"
        "text = 'def merge_heads(x): return ours(x)'\n"
        "ours = object.__getattribute__(m[p + '.split_heads'], '__dict__')['merge_heads']\n"
        "exec(compile(text, torch.__file__, 'exec'))",
        ("compiles code in the name of a library", f"uses {MERGES}"),
    ),
    "in the name of a library, later": (
        "import sys, torch\nm = getattr(sys, 'mod' + 'ules')\n"
        "ours = object.__getattribute__(m[p + '.split_heads'], '__dict__')['merge_heads']\n"
        "def merge_heads(x): return ours(x)\n"
        "merge_heads.__code__ = merge_heads.__code__.replace(co_filename=torch.__file__)",
        ("compiles code in the name of a library", f"uses {MERGES}"),
    ),
    "watching the interpreter": (
        "import sys\n"
        + RIGHT.replace("    batch", "    getattr(sys, 'setpro' + 'file')(None)\n    batch"),
        ("watches the interpreter with sys.setprofile",),
    ),
    "what notes it": (
        "import sys\nm = getattr(sys, 'mod' + 'ules')[p + '.checks.grading.taken']\n"
        + RIGHT.replace("    batch", "    m._noted.clear()\n    batch"),
        ("reads cleanformer_lite.checks.grading.taken._noted",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("road", ROADS)
def test_a_right_answer_that_is_taken_is_named(runner: Runner, road: str) -> None:
    code, expected = ROADS[road]
    result = graded(runner, HIDDEN + code + "\n")
    assert result.passed, result.card  # it cannot be prevented
    assert not any("mentions cleanformer_lite" in flag for flag in result.flags)
    for text in expected:
        assert any(flag.startswith(text) for flag in result.flags), (text, result.flags)


def test_a_copy_of_ours_under_other_names_is_named(runner: Runner) -> None:
    text = inspect.getsource(sys.modules[SplitMultiHeadAttention.__module__])
    text = text.replace("SplitMultiHeadAttention", "SplitHeads")
    text = text.replace("need_weights: bool = False", "need_weights: bool = True")
    result = graded(runner, text, exercise="split_heads.module")
    name = "has the code of cleanformer_lite.split_heads.SplitMultiHeadAttention.forward"
    assert (result.passed, name in result.flags) == (True, True), result.card


@pytest.fixture(scope="module")
def taken(runner: Runner) -> list[Result]:
    """One file that takes an answer to every exercise; it names none of what it takes."""
    names = " ".join(exercise.entry_point for exercise in EXERCISES.values())
    cheat = f"""{HIDDEN}
import sys  # {names}
m = getattr(sys, "mod" + "ules")
for e in m[p + ".checks"].EXERCISES.values():
    globals()[e.entry_point] = getattr(e.probe, "reference", m[p].SplitMultiHeadAttention)
"""
    return grade_file(runner, Submission("cheat.py", cheat.encode()), list(EXERCISES), seed=1)


def test_every_answer_of_a_universal_cheat_is_named(taken: list[Result]) -> None:
    assert sum(result.points for result in taken) > 40
    for result in taken:
        if result.passed:
            made_of_ours = ("is cleanformer_lite.", "uses cleanformer_lite.", "runs cleanformer_")
            assert any(flag.startswith(made_of_ours) for flag in result.flags), result.exercise


def test_flags_and_fingerprint_are_those_of_the_code_that_was_run(runner: Runner) -> None:
    hidden = f"globals()['merge' + '_heads'] = lambda x: {MERGE_BODY}"
    cells = ["import sys, cleanformer_lite as c", hidden, f"merge_heads\nnote = '{'x' * 200}'"]
    result = graded(runner, notebook(*cells), "a.ipynb")
    assert result.passed
    assert result.flags == ("mentions cleanformer_lite",)
    other = graded(runner, notebook("import sys", *cells[1:]), "a.ipynb")
    assert (other.passed, other.flags) == (True, ())
    assert result.digest
    assert result.digest != other.digest


def test_an_answer_of_ones_own_is_not_named(runner: Runner) -> None:
    """Though its file shows, times and checks what is ours: that is not run again."""
    cells = [
        "import torch\nfrom cleanformer_lite import SplitMultiHeadAttention, check, merge_heads",
        "SplitMultiHeadAttention(4, 2)(torch.zeros(1, 3, 4))\nmerge_heads(torch.zeros(1, 2, 3, 2))",
        RIGHT,
        "check('split_heads.merge', merge_heads)",
    ]
    result = graded(runner, notebook(*cells), "a.ipynb")
    assert (result.passed, result.flags) == (True, ())


@pytest.mark.parametrize("chapter", sorted({e.chapter for e in EXERCISES.values()}))
def test_no_solution_is_named(runner: Runner, chapter: str) -> None:
    """What an exercise hands to an answer may be called, and counts for nothing."""
    exercises = [e.id for e in EXERCISES.values() if e.chapter == chapter]
    results = grade_file(runner, load(SOLUTIONS / f"{chapter}.py"), exercises, seed=1)
    assert [(r.exercise, r.passed, r.flags) for r in results] == [(e, True, ()) for e in exercises]


def test_what_was_noted_cannot_be_unsaid(runner: Runner) -> None:
    """It is sent before the answer goes on, whatever is sent then and however it ends."""
    for end in ("os._exit(0)", "raise ValueError", "os.write(1, b'x')", "os.closerange(0, 64)"):
        code = f"{HIDDEN}import os, sys\nm = getattr(sys, 'mod' + 'ules')\n"
        code += f"def merge_heads(x):\n    m[p].merge_heads(x)\n    {end}\n"
        assert graded(runner, code).flags == (f"reads {MERGES}", f"runs {MERGES}"), end


def test_notes_come_off_a_frame() -> None:
    assert without_notes(encode_note("a") + encode_note("ü" * 200) + b"frame") == (
        ["a", "ü" * 127 + "\ufffd"],
        b"frame",
    )
    for whole in (b"", NOTE, b"\xff" * 7, b"frame"):
        assert without_notes(whole) == ([], whole)
    assert without_notes(NOTE + b"\x09cut") == (["cut"], b"")
    notes, rest = without_notes(encode_note("") * 1_000_000)
    assert len(notes) == MOST_NOTES
    assert rest.startswith(NOTE)
