"""Datetime patterns of a feed, judged before any file arrives: Spark says what is wrong with one only when it runs.

The rules are those of https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html for parsing, and that a
pattern says one day, so that no part of a date is guessed.
"""

import re

# Names in place of a pattern: numbers that count from 1970-01-01 UTC.
EPOCH_FORMATS = ("epoch_seconds", "epoch_milliseconds")
# How often a letter may stand in a row.
LETTERS = {
    **{"y": (1, 2, 3, 4, 5, 6), "M": (1, 2, 3, 4), "L": (1, 2, 3, 4), "d": (1, 2), "D": (1, 2, 3)},
    **dict.fromkeys("HhKkms", (1, 2)),
    **{"S": tuple(range(1, 10)), "a": (1,)},
    **{"X": (1, 2, 3, 4, 5), "x": (1, 2, 3, 4, 5), "Z": (1, 2, 3, 4, 5), "z": (1, 2, 3, 4), "V": (2,), "O": (1, 4)},
}
_OTHER_LANGUAGES = {
    **{"%Y": "yyyy", "%y": "yy", "%m": "MM", "%d": "dd", "%b": "MMM", "%B": "MMMM"},
    **{"%H": "HH", "%I": "hh", "%M": "mm", "%S": "ss", "%f": "SSSSSS", "%p": "a", "%z": "XX"},
    **{"YYYY": "yyyy", "YY": "yy", "RRRR": "yyyy", "MON": "MMM", "DD": "dd"},
    **{"HH24": "HH", "HH12": "hh", "MI": "mm", "AM": "a", "PM": "a"},
}
_TOKENS = re.compile(r"'[^']*'|(?P<letters>([A-Za-z])\2*)|(?P<sign>.)", re.DOTALL)


def check_format(pattern: str) -> None:
    """Raise ValueError, which says what is wrong and what was probably meant, unless Spark reads a day by it."""
    if pattern in EPOCH_FORMATS:
        return
    if fault := _fault(pattern):
        meant = _probably_meant(pattern)
        raise ValueError(f"format {pattern!r}: {fault}" + (f"; did you mean {meant!r}?" if meant else ""))


def _fault(pattern: str) -> str | None:
    if not pattern.strip():
        return "it is empty"
    runs: dict[str, int] = {}
    depth = 0
    for token in _TOKENS.finditer(pattern):
        if sign := token["sign"]:
            depth += {"[": 1, "]": -1}.get(sign, 0)
            if fault := _fault_of_sign(sign, depth):
                return fault
        elif letters := token["letters"]:
            if fault := _fault_of_letters(letters, runs):
                return fault
            runs[letters[0]] = len(letters)
    return "a [ has no ]" if depth else _fault_of_fields(set(runs))


def _fault_of_sign(sign: str, depth: int) -> str | None:
    if sign == "'":
        return "a quote ' is not closed"
    if sign in "{}#%":
        return f"{sign} stands for nothing in a pattern of Spark; as text it is '{sign}'"
    return "a ] has no [" if depth < 0 else None


def _fault_of_letters(letters: str, before: dict[str, int]) -> str | None:
    letter = letters[0]
    if letter not in LETTERS:
        return f"{letter} stands for nothing that can be read; as text it is '{letters}'"
    if letter in before:
        return f"{letter} stands in it twice"
    if len(letters) not in LETTERS[letter]:
        return f"{letters} is no number of {letter} that Spark knows"
    return None


def _fault_of_fields(letters: set[str]) -> str | None:
    """What a pattern of these letters does not say, or says twice."""
    if "y" not in letters or not ("D" in letters or ("d" in letters and letters & {"M", "L"})):
        return "it must say a year (yyyy), a month (MM) and a day (dd)"
    of_half_a_day = letters & {"h", "K"}
    if of_half_a_day and "a" not in letters:
        return "hh counts to 12 and needs AM or PM (a) beside it; hours of the day are HH"
    if "a" in letters and not of_half_a_day:
        return "AM or PM (a) needs an hour that counts to 12 (hh)"
    if "m" in letters and not letters & {"H", "k", "h", "K"}:
        return "mm are minutes, and there is no hour (HH); months are MM"
    if letters & {"s", "S"} and "m" not in letters:
        return "it has seconds (ss), but no minutes (mm)"
    return None


def _probably_meant(pattern: str) -> str | None:
    """The pattern as Spark would have it, if it was written for another program or with a usual mistake."""
    meant = re.sub("|".join(sorted(_OTHER_LANGUAGES, key=len, reverse=True)), _translated, pattern)
    if "M" not in meant:
        meant = meant.replace("mm", "MM", 1)
    meant = meant.replace("HH", "hh") if "a" in meant else meant.replace("hh", "HH")
    meant = re.sub(r"(?<=[Hh]:)MM", "mm", meant)
    if "s" not in meant:
        meant = re.sub(r"(?<=:)SS", "ss", meant)
    meant = re.sub(r"(?<=[yMd])T(?=[Hh])", "'T'", meant)
    return meant if meant != pattern and _fault(meant) is None else None


def _translated(match: re.Match[str]) -> str:
    return _OTHER_LANGUAGES[match[0]]
