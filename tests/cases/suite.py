"""The folders of cases: what they deliver and what they expect. How to write one is told in test_cases.py."""

import csv
import io
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from ingestion.pipeline.feed_files import load_feed
from ingestion.pipeline.feeds import Feed

HERE = Path(__file__).resolve().parent
FEED = HERE.parents[1] / "dags" / "feeds" / "order_tracking.yaml"
EXPECTATIONS = ("target.csv", "quarantine.csv", "rejected.csv", "counts.csv")
OTHER_FILES = ("about.txt", "feed.yaml", "xfail")
REPLAY = "REPLAY"
COUNTS = ("rows_read", "rows_staged", "rows_quarantined")

csv.field_size_limit(16 * 1024**2)

# A row of an expectation, or what was found in its place: (column, text) pairs.
Row = tuple[tuple[str, str], ...]


class CaseError(ValueError):
    """A folder that is no case, or cases that disturb one another. The message says what to change."""


@dataclass(frozen=True)
class Delivery:
    """One upload of a case: `file` is its name in the folder, `step` the batch before which it is delivered."""

    file: str
    step: int
    object: str
    content: bytes


@dataclass(frozen=True)
class Case:
    """One folder of tests/cases."""

    folder: Path

    @property
    def name(self) -> str:
        """Its folder's name, a part of the names of its objects."""
        return self.folder.name

    @cached_property
    def feed_name(self) -> str:
        """The feed it is loaded with: its own, named after it, or the one of most cases."""
        return self.name if (self.folder / "feed.yaml").exists() else FEED.stem

    @cached_property
    def deliveries(self) -> list[Delivery]:
        """All its uploads, in their order: by step, and in each from the last name to the first."""
        files = ((int(path.parent.name), path) for path in self.folder.glob("[1-9]/*") if path.name != REPLAY)
        named = sorted(((step, path.name.removesuffix(".py"), path) for step, path in files), key=_upload_order)
        return [Delivery(name, step, self._object(name), _content(path)) for step, name, path in named]

    def _object(self, file: str) -> str:
        path = Path(file)
        return f"source/{path.stem}.{self.name}{path.suffix}"

    def owns(self, object_name: str) -> bool:
        """Whether an object of the bucket, wherever it lies, was delivered by this case."""
        return f".{self.name}." in object_name

    def replays(self, step: int) -> list[date]:
        """The days that are backfilled after the step."""
        listing = self.folder / str(step) / REPLAY
        return [date.fromisoformat(day) for day in listing.read_text().split()] if listing.exists() else []

    @property
    def steps(self) -> int:
        """Its number of steps."""
        return max((int(path.name) for path in self.folder.glob("[1-9]")), default=0)

    @property
    def about(self) -> str:
        """What it shows, for people."""
        return (self.folder / "about.txt").read_text(encoding="utf-8").strip()

    @property
    def known_fault(self) -> str:
        """What is wrong with the code, if the case is expected to fail."""
        path = self.folder / "xfail"
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""

    def check(self) -> None:
        """Raise CaseError for a folder that is incomplete or holds a file that would be read by nobody."""
        if not re.fullmatch("[a-z][a-z0-9_]*", self.name):
            raise CaseError(f"{self.name}: a case is named in small letters, digits and underscores")
        names = {path.name for path in self.folder.iterdir()}
        present = {name.removesuffix(".py") for name in names if not re.fullmatch("[1-9]|__pycache__", name)}
        if unknown := sorted(present - {*EXPECTATIONS, *OTHER_FILES}):
            raise CaseError(f"{self.name}: {', '.join(unknown)} means nothing here")
        if "about.txt" not in present:
            raise CaseError(f"{self.name}: about.txt is missing: say in one or two lines what the case shows")
        if not self.deliveries:
            raise CaseError(f"{self.name}: nothing delivered: there is no file in 1/")
        if not present & set(EXPECTATIONS):
            raise CaseError(f"{self.name}: nothing expected: write one of {', '.join(EXPECTATIONS)}")

    def expected(self, table: str, columns: list[str], optional: str = "") -> list[Row]:
        """The rows of an expectation file, none if it is absent. `optional` names a column that may be left out."""
        path = next((p for p in (self.folder / table, self.folder / f"{table}.py") if p.exists()), None)
        if path is None:
            return []
        header, *records = list(csv.reader(io.StringIO(_content(path).decode(), newline=""), strict=True)) or [[]]
        if header not in (columns, [*columns, optional]):
            raise CaseError(f"{self.name}: {table} must have the columns {','.join(columns)}, not {','.join(header)}")
        if bad := next((record for record in records if len(record) != len(header)), None):
            raise CaseError(f"{self.name}: {table} has a row of {len(bad)} fields instead of {len(header)}: {bad}")
        return [tuple(zip(header, record, strict=True)) for record in records]


def read_cases() -> list[Case]:
    """All cases, by name."""
    return [Case(path) for path in sorted(HERE.iterdir()) if path.is_dir() and not path.name.startswith(("_", "."))]


def feeds_of(cases: list[Case]) -> list[Feed]:
    """The feeds of the cases. Each takes only files whose names carry one of its cases."""
    names = sorted({case.feed_name for case in cases})
    return [_feed(name, [case for case in cases if case.feed_name == name]) for name in names]


def _feed(name: str, cases: list[Case]) -> Feed:
    feed = load_feed(FEED if name == FEED.stem else cases[0].folder / "feed.yaml")
    stem, end = feed.pattern[:-5], feed.pattern[-5:]
    if end != r"\.csv":
        raise CaseError(f"{name}: the pattern of feed.yaml must end in \\.csv, so that a case's name fits before it")
    return feed.model_copy(update={"name": name, "pattern": rf"{stem}\.({'|'.join(c.name for c in cases)}){end}"})


def target_columns(feed: Feed) -> list[str]:
    """The header of target.csv."""
    return [*(column.name for column in feed.columns), "file", "delivery", "record"]


def check_apart(cases: list[Case], feeds: list[Feed]) -> None:
    """Raise CaseError when two cases expect the same key, or one replays a day of which another has files."""
    owners: dict[tuple[str, ...], str] = {}
    by_name = {feed.name: feed for feed in feeds}
    for case in cases:
        feed = by_name[case.feed_name]
        for row in case.expected("target.csv", target_columns(feed)):
            key = (feed.name, *(dict(row)[name] for name in feed.key))
            if (owner := owners.setdefault(key, case.name)) != case.name:
                raise CaseError(f"{owner} and {case.name} share the key {', '.join(key[1:])}: keys must differ")
        for day in (day for step in range(1, case.steps + 1) for day in case.replays(step)):
            others = (other for other in cases if other is not case and other.feed_name == feed.name)
            for other in others:
                if any(f"{day:%Y_%m_%d}" in delivery.file for delivery in other.deliveries):
                    raise CaseError(f"{case.name} replays {day}, a day of {other.name} too: give it a day of its own")


def _upload_order(item: tuple[int, str, Path]) -> tuple[int, list[int]]:
    step, name, _ = item
    return step, [-ord(letter) for letter in name]


def _content(path: Path) -> bytes:
    """The content of a file, or what it prints if it is a script."""
    if path.suffix != ".py":
        return path.read_bytes()
    return subprocess.run([sys.executable, "-X", "utf8", str(path)], check=True, stdout=subprocess.PIPE).stdout


def as_text(value: object) -> str:
    """A value as expectation files write it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    if isinstance(value, bool):
        return str(value).lower()
    return " | ".join(value) if isinstance(value, list) else str(value)


def differences(table: str, expected: list[Row], found: list[Row], at_most: int = 10) -> list[str]:
    """A line for each row that is missing or should not be there."""
    if expected:  # an optional column counts where the case states it
        stated = {name for name, _ in expected[0]}
        found = [tuple(pair for pair in row if pair[0] in stated) for row in found]
    missing = (Counter(expected) - Counter(found)).elements()
    surplus = (Counter(found) - Counter(expected)).elements()
    lines = [
        f"{table}: {what} {_shown(row)}"
        for pair in zip_longest(sorted(missing, key=_place), sorted(surplus, key=_place))
        for what, row in zip(("missing   ", "unexpected"), pair, strict=True)
        if row is not None
    ]
    return lines if len(lines) <= at_most else [*lines[:at_most], f"{table}: and {len(lines) - at_most} more"]


def _place(row: Row) -> tuple[str, str, int]:
    fields = dict(row)
    return fields["file"], fields["delivery"], int(fields.get("record", 0))


def _shown(row: Row) -> str:
    return ", ".join(f"{name}={_shortened(text)}" for name, text in row if text)


def _shortened(text: str) -> str:
    return repr(text) if len(text) <= 300 else f"{text[:100]!r}... ({len(text)} characters)"
