"""The names of a feed's files: the pattern that they fit, and the day that a name says.

A name says its day by the pattern's group `date`, eight digits however they are parted, or by groups `year`, `month`
and `day`. Without `day` the file is of the first of its month. A year of two digits is one of 2000 to 2099.
"""

import re
from datetime import date

# Nobody means them in a name, and not all that a name passes through can hold them: XComs, terminals, file systems.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PARTS = ("year", "month", "day")
# How a day may be written in a group `date`.
_SPELLINGS = [f"2026{sign}11{sign}15" for sign in ("", "_", "-", ".", " ", "+")]


def compiled(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    """The pattern of whole names. Raises re.error."""
    return re.compile(pattern, re.IGNORECASE if ignore_case else 0)


def has_control(text: str) -> bool:
    """Whether a character in the text is none that can be seen: NUL, ESC and the like."""
    return _CONTROL.search(text) is not None


def shown(text: str) -> str:
    """The text for logs and people, with control characters as they are written: \\x1b."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def check_pattern(pattern: str) -> None:
    """Raise ValueError for what is no regular expression, or has groups that do not say a day for certain."""
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if "date" in groups and groups & set(_PARTS):
        raise ValueError("it says the day twice: either a group `date`, or groups `year`, `month` and `day`")
    if groups & set(_PARTS) and not {"year", "month"} <= groups:
        raise ValueError("a day needs the groups `year`, `month` and `day`, a month `year` and `month`")
    if "date" in groups and not any(re.fullmatch(_group(pattern, "date"), text) for text in _SPELLINGS):
        raise ValueError(
            "its group `date` fits no day of eight digits, 2026_11_15 say; "
            "other dates are told by groups `year`, `month` and `day`"
        )


def day_of(match: re.Match[str]) -> date | None:
    """The day that a name says, None when it says none. Raises ValueError when there is no such day."""
    groups = match.groupdict()
    if (text := groups.get("date")) is not None:
        digits = re.sub(r"\D", "", text)
        if len(digits) != len("yyyymmdd"):
            raise ValueError(f"{text} is no day of eight digits")
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    year, month, day = (groups.get(part) for part in _PARTS)
    if year is None or month is None:
        return None
    return date(int(year) + (2000 if len(year) == len("yy") else 0), int(month), int(day) if day else 1)


def _group(pattern: str, name: str) -> str:
    """The regular expression within a named group, found by counting brackets."""
    rest = pattern[pattern.index(f"(?P<{name}>") + len(f"(?P<{name}>") :]
    depth = 1
    # What is escaped or stands in a set of characters opens and closes nothing.
    for token in re.finditer(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]", rest):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            return rest[: token.start()]
    raise ValueError(f"the group {name} has no end")
