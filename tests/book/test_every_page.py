"""What must hold on every built page, opened from its file with the network off."""

import pytest

from tests.book.conftest import PAGES, LookAt

every_page = pytest.mark.parametrize("name", PAGES)
looks = pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")]
)


@every_page
@looks
def test_asks_nobody_and_complains_of_nothing(
    look_at: LookAt, name: str, width: int, scheme: str
) -> None:
    seen = look_at(name, width=width, scheme=scheme)
    assert [url for url in seen.asked if not url.startswith(("file:", "data:"))] == []
    assert seen.missing == []
    assert seen.complaints == []


@every_page
def test_names_no_file_of_another_host(look_at: LookAt, name: str) -> None:
    addresses = look_at(name).facts["fetched"]
    assert addresses
    assert [url for url in addresses if not url.startswith(("file:", "data:"))] == []


@every_page
def test_has_one_search_box(look_at: LookAt, name: str) -> None:
    # The page of results has a box of its own beside the one in the side bar.
    assert look_at(name).facts["search_boxes"] == (2 if name == "search.html" else 1)


@every_page
def test_has_a_title_and_a_description_for_each_picture(look_at: LookAt, name: str) -> None:
    facts = look_at(name).facts
    assert len(facts["title"].split()) > 1
    assert facts["headings"] == 1
    for said in facts["described"]:
        # Without words of its own, a picture is described by its file's name.
        assert " " in said


@every_page
def test_does_not_scroll_sideways_on_a_phone(look_at: LookAt, name: str) -> None:
    facts = look_at(name, width=390).facts
    assert facts["width"] <= 390
    assert facts["too_wide"] == []


@every_page
@looks
def test_is_readable_to_everyone(look_at: LookAt, name: str, width: int, scheme: str) -> None:
    seen = look_at(name, width=width, scheme=scheme)
    assert seen.facts["theme"] == scheme
    assert seen.violations == []
