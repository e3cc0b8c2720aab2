import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanformer_lite.translation.korean_dates import (
    every_day,
    in_english,
    in_korean,
    korean_month,
    read_korean,
    romanise,
    sino_korean,
)

DAYS = st.dates(datetime.date(1900, 1, 1), datetime.date(2099, 12, 31))
DIGITS = {"일": 1, "이": 2, "삼": 3, "사": 4, "오": 5, "육": 6, "칠": 7, "팔": 8, "구": 9}
UNITS = {"십": 10, "백": 100, "천": 1000}


def value(words: str) -> int:
    """Add up a Sino-Korean number from its syllables."""
    total, digit = 0, 0
    for syllable in words:
        if syllable in UNITS:
            total, digit = total + (digit or 1) * UNITS[syllable], 0
        else:
            digit = DIGITS[syllable]
    return total + digit


@pytest.mark.parametrize(
    ("day", "korean", "english"),
    [
        ((2026, 11, 23), "이천이십육년 십일월 이십삼일 월요일", "Monday, November 23, 2026"),
        ((1900, 1, 1), "천구백년 일월 일일 월요일", "Monday, January 1, 1900"),
        ((2000, 6, 30), "이천년 유월 삼십일 금요일", "Friday, June 30, 2000"),
        ((1999, 10, 10), "천구백구십구년 시월 십일 일요일", "Sunday, October 10, 1999"),
        ((2099, 12, 31), "이천구십구년 십이월 삼십일일 목요일", "Thursday, December 31, 2099"),
    ],
)
def test_known_days(day: tuple[int, int, int], korean: str, english: str) -> None:
    assert in_korean(datetime.date(*day)) == korean
    assert in_english(datetime.date(*day)) == english


@given(st.integers(1, 9999))
def test_numbers_add_up(number: int) -> None:
    words = sino_korean(number)
    assert value(words) == number
    assert not any(f"일{unit}" in words for unit in UNITS)


@pytest.mark.parametrize("number", [0, -1, 10_000])
def test_numbers_out_of_reach(number: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 9999, got {number}"):
        sino_korean(number)


def test_all_days_differ_and_are_read_back() -> None:
    days = every_day()
    assert (days[0], days[-1]) == (datetime.date(1900, 1, 1), datetime.date(2099, 12, 31))
    assert len(days) == 200 * 365 + 49  # 1900 is no leap year, 2000 is
    assert len({in_korean(day) for day in days}) == len(days)
    assert all(read_korean(in_korean(day)) == day for day in days)


@given(DAYS)
def test_english_is_what_python_says(day: datetime.date) -> None:
    assert datetime.datetime.strptime(in_english(day), "%A, %B %d, %Y").date() == day


def test_only_june_and_october_are_irregular() -> None:
    odd = [m for m in range(1, 13) if korean_month(m) != sino_korean(m) + "월"]
    assert odd == [6, 10]


def test_romanised() -> None:
    said = romanise("이천이십육년 유월 일일 월요일")
    assert said == "i-cheon-i-sip-yuk-nyeon yu-wol il-il wol-yo-il"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "wanted a date in Korean words, got nothing"),
        (" \n", "wanted a date in Korean words, got nothing"),
        ("이천이십육년 십일월 x일", r"position 12: 'x' occurs in no date"),
        ("이천이십육년 육월 일일 월요일", r"position 8: wanted a month.*June is 유월.*got 육월"),
        ("이천백년 일월 일일 월요일", "position 1: wanted a year from 1900 to 2099.*got 이천백년"),
        ("이천년 일월 삼십이일 월요일", "position 8: wanted a day of the month.*got 삼십이일"),
        ("이천년  일월 일일 일일", "position 12: wanted a day of the week.*got 일일"),
        ("이천이십육년 십일월 이십삼일", "position 16: wanted a day of the week"),
        ("이천이십육년 십일월 이십삼일 월요일 월요일", "position 21: wanted nothing more"),
        ("천구백년 이월 이십구일 목요일", "position 9: February 1900 has no day 29"),
        ("이천이십육년 십일월 이십삼일 화요일", r"position 17: that day is a 월요일 \(Monday\)"),
    ],
)
def test_what_is_no_date_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_korean(text)
