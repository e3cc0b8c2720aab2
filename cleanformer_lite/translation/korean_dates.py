"""Dates in Korean words and in English: a corpus that can be made, checked and read by anyone."""

import datetime
import re

ONES = ("", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
WEEKDAYS = ("월", "화", "수", "목", "금", "토", "일")
ENGLISH_WEEKDAYS = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)  # fmt: skip
ENGLISH_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
# Syllable by syllable; spoken Korean lets neighbours colour each other, this does not.
LATIN = "il i sam sa o yuk chil pal gu sip baek cheon nyeon wol yu si yo hwa su mok geum to"
ROMANISED = dict(zip("일이삼사오육칠팔구십백천년월유시요화수목금토", LATIN.split(" "), strict=True))


def sino_korean(number: int) -> str:
    """Write a number in Sino-Korean words: one is silent before ten, hundred and thousand.

    Raises: ValueError for a number that is not between 1 and 9999.
    """
    if not 1 <= number <= 9999:
        raise ValueError(f"wanted a number from 1 to 9999, got {number}")
    words = ""
    for digit, unit in zip(f"{number:04}", ("천", "백", "십", ""), strict=True):
        if digit != "0":
            words += ("" if digit == "1" and unit else ONES[int(digit)]) + unit
    return words


def korean_month(month: int) -> str:
    """Name a month; June and October drop the final consonant of their number."""
    return {6: "유", 10: "시"}.get(month, sino_korean(month)) + "월"


def in_korean(day: datetime.date) -> str:
    """Say a day in Korean words: year, month, day of the month, day of the week."""
    year, number = sino_korean(day.year) + "년", sino_korean(day.day) + "일"
    return f"{year} {korean_month(day.month)} {number} {WEEKDAYS[day.weekday()]}요일"


def in_english(day: datetime.date) -> str:
    """Say a day in English, as in "Monday, November 23, 2026"."""
    weekday, month = ENGLISH_WEEKDAYS[day.weekday()], ENGLISH_MONTHS[day.month - 1]
    return f"{weekday}, {month} {day.day}, {day.year}"


def romanise(text: str) -> str:
    """Spell Hangul in Latin letters, syllables joined by hyphens."""
    words = text.split()
    return " ".join("-".join(ROMANISED.get(letter, letter) for letter in word) for word in words)


def every_day() -> list[datetime.date]:
    """List all days from 1900 to 2099."""
    return [FIRST + datetime.timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


YEARS = {sino_korean(year) + "년": year for year in range(FIRST.year, LAST.year + 1)}
MONTHS = {korean_month(month): month for month in range(1, 13)}
DAYS = {sino_korean(day) + "일": day for day in range(1, 32)}
WEEKDAY_WORDS = {f"{word}요일": number for number, word in enumerate(WEEKDAYS)}
PARTS = (
    ("a year from 1900 to 2099, such as 이천이십육년", YEARS),
    ("a month, such as 십일월 (June is 유월, October 시월)", MONTHS),
    ("a day of the month, such as 이십삼일", DAYS),
    ("a day of the week, such as 월요일", WEEKDAY_WORDS),
)


def read_korean(text: str) -> datetime.date:
    """Read a date in Korean words.

    Raises: ValueError with the position, counted from 1, of what is no part of such a date: an
        unknown syllable, a word that is not the part wanted there, a day that the calendar does
        not have.
    """
    for position, letter in enumerate(text, start=1):
        if not letter.isspace() and letter not in ROMANISED:
            raise ValueError(f"position {position}: {letter!r} occurs in no date in Korean words")
    words = [(found.start() + 1, found[0]) for found in re.finditer(r"\S+", text)]
    if not words:
        raise ValueError("wanted a date in Korean words, got nothing")
    numbers = []
    for (wanted, known), (position, word) in zip(PARTS, words, strict=False):
        if word not in known:
            raise ValueError(f"position {position}: wanted {wanted}, got {word}")
        numbers.append(known[word])
    if len(words) != len(PARTS):
        position = words[len(PARTS)][0] if len(words) > len(PARTS) else len(text) + 1
        wanted = PARTS[len(words)][0] if len(words) < len(PARTS) else "nothing more"
        raise ValueError(f"position {position}: wanted {wanted}")
    return as_day(numbers, [position for position, _ in words])


def as_day(numbers: list[int], positions: list[int]) -> datetime.date:
    """Turn year, month, day and weekday into a day of the calendar.

    Raises: ValueError, with the position, if there is no such day or it is another day of the week.
    """
    year, month, number, weekday = numbers
    try:
        day = datetime.date(year, month, number)
    except ValueError:
        name = f"{ENGLISH_MONTHS[month - 1]} {year}"
        raise ValueError(f"position {positions[2]}: {name} has no day {number}") from None
    if day.weekday() != weekday:
        right = f"{WEEKDAYS[day.weekday()]}요일 ({ENGLISH_WEEKDAYS[day.weekday()]})"
        raise ValueError(f"position {positions[3]}: that day is a {right}")
    return day
