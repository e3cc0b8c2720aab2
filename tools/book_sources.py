"""What the pages of the book refer to: its address, its pages, their labels and the works cited."""

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from pybtex.database import Entry, Person, parse_file


def last_name(person: Person) -> str:
    """Return an author's last name as plain text, TeX's accents resolved."""
    return " ".join(part.render_as("text") for part in person.rich_last_names)


@dataclass(frozen=True)
class Book:
    """The book whose sources are the Markdown files of `folder`, beside `_config.yml`'s folder."""

    folder: Path

    @cached_property
    def address(self) -> str:
        """The repository's address: on GitHub that of the repository it is built in, a fork's too.

        Anywhere else it is the one that stands in `_config.yml`, and only there.
        """
        name = os.environ.get("GITHUB_REPOSITORY")
        return f"https://github.com/{name}" if name else self.configured

    @cached_property
    def configured(self) -> str:
        """The repository's address as `_config.yml` has it."""
        return str(self._repository["url"])

    @cached_property
    def site(self) -> str:
        """Where GitHub Pages publishes the book."""
        owner, name = self.address.split("/")[-2:]
        return f"https://{owner}.github.io/{name}"

    @cached_property
    def published(self) -> str:
        """Where the pages of this folder are published."""
        return f"{self.site}/{self.folder.name}"

    @cached_property
    def raw_files(self) -> str:
        """Where a notebook service finds the pictures of this folder."""
        place = self.address.replace("github.com", "raw.githubusercontent.com")
        return f"{place}/{self._repository['branch']}/{self.folder.name}"

    @cached_property
    def _repository(self) -> dict[str, str]:
        config = yaml.safe_load((self.folder.parent / "_config.yml").read_text(encoding="utf8"))
        return dict(config["repository"])

    @cached_property
    def chapters(self) -> list[str]:
        """The names of the numbered pages, in the order of `_toc.yml`: the one list of chapters."""
        contents = yaml.safe_load((self.folder.parent / "_toc.yml").read_text(encoding="utf8"))
        numbered = [part for part in contents["parts"] if part.get("numbered")]
        files = [chapter["file"] for part in numbered for chapter in part["chapters"]]
        return [file.removeprefix(f"{self.folder.name}/") for file in files]

    @cached_property
    def texts(self) -> dict[str, str]:
        """Every page's source by its name: its path within the folder, without the ending."""
        pages = sorted(self.folder.rglob("*.md"))
        names = [p.relative_to(self.folder).with_suffix("").as_posix() for p in pages]
        return {name: p.read_text(encoding="utf8") for name, p in zip(names, pages, strict=True)}

    def is_notebook(self, stem: str) -> bool:
        """Tell whether the page has code to run, and so a notebook beside it."""
        return re.search(r"^```+\{code-cell\}", self.texts[stem], re.M) is not None

    def page(self, stem: str) -> str:
        """Return where a page is published."""
        return f"{self.published}/{stem}.html"

    def colab(self, stem: str) -> str:
        """Return the address at which Colab opens a page's notebook."""
        name, branch = self.address.split("github.com")[1], self._repository["branch"]
        place = f"{name}/blob/{branch}/{self.folder.name}/{stem}.ipynb"
        return f"https://colab.research.google.com/github{place}"

    def link(self, stem: str, anchor: str = "") -> str:
        """Return where a notebook's link leads: the page's notebook, else the published page."""
        if self.is_notebook(stem):
            return f"{stem}.ipynb"
        return self.page(stem) + (f"#{anchor}" if anchor else "")

    def title(self, stem: str) -> str:
        """Return the page's first heading."""
        heading = re.search(r"^# +(.+)$", self.texts[stem], re.M)
        return heading[1].strip() if heading else stem

    @cached_property
    def labels(self) -> dict[str, tuple[str, str]]:
        """For every `(label)=` before a heading: the page's stem and the heading."""
        pattern = re.compile(r"^\(([^)\n]+)\)=\n+#+ +(.+)$", re.M)
        return {
            label: (stem, heading.strip())
            for stem, text in self.texts.items()
            for label, heading in pattern.findall(text)
        }

    @cached_property
    def works(self) -> dict[str, Entry]:
        """The entries of `references.bib` by key."""
        return dict(parse_file(str(self.folder / "references.bib")).entries)

    def cite(self, key: str) -> tuple[str, str, str]:
        """Return a work's authors as a text names them, its year and its address ('' if none).

        Raises: KeyError if the bibliography does not have it.
        """
        work = self.works[key]
        names = [last_name(person) for person in work.persons["author"]]
        shown = names[0] + " et al." if len(names) > 2 else " and ".join(names)
        return shown, work.fields["year"], work.fields.get("url", "")
