"""The keys of a staged batch: how many there are, and in which ranges of the target they can be.

MERGE skips files of the target by literal conditions on the target's columns alone: Delta holds them against the least
and the greatest value of each file, and each side of an OR keeps its own range.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import commonprefix

from pyspark.sql import SparkSession

from ingestion_jobs.counts import good_rows
from ingestion_jobs.manifest import Manifest
from ingestion_jobs.names import quoted, sql_string

# A gap between keys is worth a range of its own when it is this share of all they span. So there are few ranges: each
# is compared with every row of the files that are read.
_WORTHWHILE_GAP = 1 / 16
_COMPARED_PLACES = 8

Range = tuple[str, str]


@dataclass(frozen=True)
class Keys:
    """How many keys the good rows of a batch have, and the ranges that hold the values of the first key column."""

    count: int
    ranges: tuple[Range, ...]


def staged_keys(spark: SparkSession, manifest: Manifest) -> Keys:
    """The keys of the very rows that are merged: one outside of the ranges would be inserted again."""
    groups = spark.sql(_groups_of_keys(manifest)).collect()
    ranges = joined([(group["low"], group["high"]) for group in groups])
    return Keys(sum(group["keys"] for group in groups), tuple(ranges))


def _groups_of_keys(manifest: Manifest) -> str:
    """SQL: number, least and greatest of the keys that begin alike, up to a place behind what all have in common.

    Keys that are no text are one group.
    """
    first = quoted(manifest.feed.key[0])
    good = good_rows(manifest)
    first_difference = (
        "array_position(transform(sequence(1, least(length(low), length(high)) + 1), "
        "place -> substr(low, place, 1) = substr(high, place, 1)), false)"
    )
    is_text = manifest.feed.column(manifest.feed.key[0]).type == "string"
    beginning = f"left({first}, (SELECT {first_difference} + 1 FROM span))" if is_text else "''"  # noqa: S608 - quoted
    return f"""
        WITH span AS (SELECT min({first}) AS low, max({first}) AS high FROM {good}),
        keys AS (SELECT DISTINCT {", ".join(quoted(name) for name in manifest.feed.key)} FROM {good})
        SELECT count(*) AS keys, CAST(min({first}) AS STRING) AS low, CAST(max({first}) AS STRING) AS high
        FROM keys GROUP BY {beginning}
    """  # noqa: S608 - every name and value in it is quoted


def joined(groups: Sequence[Range]) -> list[Range]:
    """The ranges that hold these ones, which do not overlap; those with a worthwhile gap between them stay apart."""
    groups = sorted(groups)
    if len(groups) < 2:
        return groups
    place = _places([text for group in groups for text in group])
    worthwhile = (place(groups[-1][1]) - place(groups[0][0])) * _WORTHWHILE_GAP
    ranges = groups[:1]
    for low, high in groups[1:]:
        first, last = ranges[-1]
        if place(low) - place(last) > worthwhile:
            ranges.append((low, high))
        else:
            ranges[-1] = (first, high)
    return ranges


def _places(texts: Sequence[str]) -> Callable[[str], float]:
    """Where a text lies between the least (0) and the greatest (1) text that is spelt with the letters of these."""
    common = len(commonprefix(texts))  # noqa: RUF071 - letter by letter is what is meant
    letters = sorted(set("".join(text[common:] for text in texts)))
    value = {letter: n + 1 for n, letter in enumerate(letters)}
    base = len(letters) + 1

    def place(text: str) -> float:
        compared = text[common : common + _COMPARED_PLACES]
        return sum(value[letter] / base ** (n + 1) for n, letter in enumerate(compared))

    return place


def in_ranges(column: str, type_: str, ranges: Sequence[Range]) -> str:
    """SQL condition: the column is in one of the ranges. Empty for a type by which files are not skipped."""
    literal = _LITERALS.get(type_.partition("(")[0])
    if literal is None:
        return ""
    return " OR ".join(f"{column} BETWEEN {literal(low)} AND {literal(high)}" for low, high in ranges)


_LITERALS: dict[str, Callable[[str], str]] = {
    "string": sql_string,
    "date": lambda text: f"DATE '{text}'",
    "timestamp": lambda text: f"TIMESTAMP '{text}'",
    "int": lambda text: text,
    "bigint": lambda text: f"{text}L",
    "decimal": lambda text: f"{text}BD",
}
