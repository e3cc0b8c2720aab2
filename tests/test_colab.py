"""Installing ours on Colab replaces nothing that is there."""

import importlib.metadata
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
COLAB = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux"}


def on_colab() -> dict[str, Version]:
    lines = (HERE / "colab_versions.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def ours() -> list[Requirement]:
    """What pyproject.toml asks for, what the chapters draw with included."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["book"]
    return [Requirement(text) for text in [*project["dependencies"], *extra]]


def needs_of(requirement: Requirement) -> list[Requirement]:
    """What that package, as installed here, asks for on Colab."""
    texts = importlib.metadata.requires(requirement.name) or []
    asked = [{**COLAB, "extra": extra} for extra in ("", *requirement.extras)]
    needs = [Requirement(text) for text in texts]
    return [n for n in needs if n.marker is None or any(n.marker.evaluate(a) for a in asked)]


def replaced(requirements: list[Requirement], there: dict[str, Version]) -> list[str]:
    """List what of Colab's would be replaced, and by whose wish.

    A package that Colab has is left alone if it fits, whatever a newer one would need; one that it
    has not, or has in the version that is here, is followed to its needs.
    """
    found: list[str] = []
    seen: set[str] = set()
    to_do = [("cleanformer_lite", requirement) for requirement in requirements]
    while to_do:
        asker, wanted = to_do.pop()
        name = canonicalize_name(wanted.name)
        if name in there and not wanted.specifier.contains(there[name], prereleases=True):
            found.append(f"{asker} wants {wanted}, Colab has {there[name]}")
        if name in seen or (name in there and str(there[name]) != version_here(name)):
            continue
        seen.add(name)
        to_do += [(name, need) for need in needs_of(wanted)]
    return found


def version_here(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def test_nothing_on_colab_would_be_replaced() -> None:
    assert replaced(ours(), on_colab()) == []


def test_a_wish_for_what_colab_has_not_is_noticed() -> None:
    """Directly, and two packages down: bertviz, which is not there, needs transformers."""
    assert replaced([Requirement("ipywidgets>=8")], on_colab()) == [
        "cleanformer_lite wants ipywidgets>=8, Colab has 7.7.1"
    ]
    older = {**on_colab(), "transformers": Version("1.0"), "urllib3": Version("1.0")}
    found = replaced([Requirement("bertviz>=1.4")], older)
    assert any(line.startswith("bertviz wants transformers") for line in found)
    assert any(line.startswith("botocore wants urllib3") for line in found)


def test_the_package_alone_needs_torch_and_three_that_are_small() -> None:
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    assert [Requirement(text).name for text in project["dependencies"]] == [
        "torch",
        "numpy",
        "safetensors",
        "tqdm",
    ]


def test_colab_has_all_that_ours_asks_for_but_bertviz() -> None:
    """So the list is the right one, and reading it has not gone wrong."""
    missing = [r.name for r in ours() if canonicalize_name(r.name) not in on_colab()]
    assert missing == ["bertviz"]
