"""A feed: which files belong together, how they are read, and which row wins. docs/feeds.md shows each setting."""

import re
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints, field_validator, model_validator

from ingestion.pipeline import file_names
from ingestion.pipeline.columns import Column, DecimalSeparator, Strict, Text, ThousandsSeparator
from ingestion.pipeline.csv_text import Csv

PREFIXES_OF_OURS = ("archive/", "rejected/", "batches/", "erase/")
NOT_IN_YAML = ("name", "others")
_TABLES_OF_OURS = re.compile(r"ingestion_(log|maintenance)|.*_(staging|quarantine|erased)")
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,99}$")]


class Limits(Strict):
    """What one batch takes at most; the rest waits in `source/` for the next run."""

    files: int = Field(default=500, gt=0, description="number of files")
    bytes: int = Field(default=10 * 1024**3, gt=0, description="sum of their sizes")


class OtherFeed(Strict):
    """A feed beside this one, under the same prefix, and the names that it takes."""

    name: str
    pattern: str
    ignore_case: bool


class Feed(Strict):
    """The definition of a feed, as its YAML states it and as a manifest freezes it."""

    name: Identifier
    description: Text = Field(description="what the files hold; shown beside the DAG, and the table's comment")
    prefix: Annotated[str, StringConstraints(pattern=r"^([^/]+/)+$")] = Field(
        default="source/", description="folder of the bucket that the files are delivered to"
    )
    pattern: str = Field(description="regular expression on the name under the prefix; its groups date the file")
    ignore_case: bool = Field(default=False, description="whether capitals in file names and headers mean nothing")
    compression: Literal["none", "gzip"] = Field(default="none", description="how the files are compressed")
    columns: list[Column] = Field(min_length=1, description="in the order of the tables")
    unknown_columns: Literal["reject", "ignore"] = Field(
        default="reject", description="what becomes of a file with a column that is not of the feed"
    )
    key: list[str] = Field(min_length=1, description="the columns of which each row of the target has its own values")
    order_by: str = Field(description="the column whose greatest value wins")
    time_zone: str = Field(default="UTC", description="of timestamps that carry none")
    nulls: list[str] = Field(default_factory=list, description="texts that mean NULL, beside the empty one")
    decimal_separator: DecimalSeparator = Field(default=".", description="of numbers")
    thousands_separator: ThousandsSeparator = Field(default="", description="of numbers; none by default")
    csv: Csv = Field(default=Csv(), description="how the text of a file is cut into records and fields")
    max_future_skew_seconds: int = Field(default=86400, ge=0, description="of order_by against the delivery time")
    bad_row_share: float = Field(default=0.0, ge=0, le=1, description="of a batch, above which people are alerted")
    expected_by: Annotated[str, StringConstraints(pattern=r"^\d{2}:[0-5]\d$")] | None = Field(
        default=None,
        description="time of day, in time_zone, by which a day's file is due; 33:00 is 9:00 of the next day",
    )
    expected_on: list[Weekday] = Field(
        default=list(WEEKDAYS),
        min_length=1,
        description="the days of the week of which there is a file, for expected_by",
    )
    limits: Limits = Field(default=Limits(), description="what one batch takes at most; the rest waits for the next")
    others: list[OtherFeed] = Field(default_factory=list, description="filled in by `beside`, not by the YAML")

    @field_validator("name")
    @classmethod
    def _tables_of_its_own(cls, value: str) -> str:
        if _TABLES_OF_OURS.fullmatch(value):
            raise ValueError(f"{value} is the name of a table of the pipeline, or of another feed: rename the file")
        return value

    @field_validator("prefix")
    @classmethod
    def _where_others_deliver(cls, value: str) -> str:
        if value.startswith(PREFIXES_OF_OURS):
            raise ValueError(f"{value} is where the pipeline keeps its own files: deliver to another folder")
        # Airflow takes braces in it for a template, and a client or a file system the others for another folder.
        if {".", ".."} & set(value.split("/")) or set(value) & set("{}\\") or file_names.has_control(value):
            raise ValueError("a folder is not named '.' or '..', and has no braces, backslashes or control characters")
        return value

    @field_validator("pattern")
    @classmethod
    def _pattern_says_a_day(cls, value: str) -> str:
        file_names.check_pattern(value)
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"unknown time zone {value!r}") from error
        return value

    @model_validator(mode="after")
    def _columns_agree(self) -> "Feed":
        names = [column.name for column in self.columns]
        if doubled := _doubled(names):
            raise ValueError(f"columns named twice (Delta does not tell case apart): {', '.join(doubled)}")
        headers = [self.folded(column.text_in_header) for column in self.columns]
        if doubled := sorted({header for header in headers if headers.count(header) > 1}):
            raise ValueError(f"columns with the same header: {', '.join(doubled)}")
        if doubled := _doubled(self.key):
            raise ValueError(f"key names a column twice: {', '.join(doubled)}")
        for column in [*self.key, self.order_by]:
            if column not in names:
                raise ValueError(f"key and order_by name columns of the feed; {column!r} is not one")
        for column in self.columns:
            if column.optional and column.name in (*self.key, self.order_by):
                raise ValueError(f"{column.name} is of the key or order_by, which every file must have: not optional")
            if column.optional and not self.csv.header:
                raise ValueError(f"{column.name}: without a header no column can be told to be absent: not optional")
        order_type = next(column.type for column in self.columns if column.name == self.order_by)
        if order_type not in ("timestamp", "date"):
            raise ValueError(f"order_by must be a timestamp or date, {self.order_by} is a {order_type}")
        return self

    @model_validator(mode="after")
    def _columns_have_what_holds_for_all(self) -> "Feed":
        """Each column states its own nulls and separators from here on, so that its readers look nowhere else."""
        of_feed = {name: getattr(self, name) for name in ("nulls", "decimal_separator", "thousands_separator")}
        for column in self.columns:
            for name, value in of_feed.items():
                if getattr(column, name) is None:
                    object.__setattr__(column, name, value)
            if column.decimal_separator == column.thousands_separator:
                raise ValueError(f"{column.name}: {column.decimal_separator!r} would part decimals and thousands")
        return self

    def folded(self, header: str) -> str:
        """A name of a header as it is compared."""
        return header.casefold() if self.ignore_case else header

    def match(self, object_name: str) -> re.Match[str] | None:
        """The match of the feed's pattern on the whole name directly under its prefix, else None."""
        if not object_name.startswith(self.prefix):
            return None
        name = object_name.removeprefix(self.prefix)
        if "/" in name or name in (".", "..") or file_names.has_control(name):
            return None
        return file_names.compiled(self.pattern, self.ignore_case).fullmatch(name)

    def beside(self, feeds: Iterable["Feed"]) -> "Feed":
        """This feed, with what it needs to know of those of the same prefix."""
        others = [feed for feed in feeds if feed.prefix == self.prefix and feed.name != self.name]
        known = [OtherFeed(name=feed.name, pattern=feed.pattern, ignore_case=feed.ignore_case) for feed in others]
        return self.model_copy(update={"others": known})

    def is_contested(self, object_name: str) -> bool:
        """Whether another feed would take this file of the feed too. Neither does: one of them would reject it."""
        name = object_name.removeprefix(self.prefix)
        return any(file_names.compiled(other.pattern, other.ignore_case).fullmatch(name) for other in self.others)

    @property
    def definition(self) -> str:
        """How its files are loaded, as text: all but the words for people, and what it knows of other feeds."""
        return self.model_dump_json(
            exclude={"others": True, "description": True, "columns": {"__all__": {"description"}}}
        )

    def file_date(self, object_name: str, delivered_at: datetime) -> date:
        """The date a file is filed under: the day that its name says, else the UTC date of its delivery.

        Raises ValueError when the name carries a date that does not exist.
        """
        match = self.match(object_name)
        day = None if match is None else file_names.day_of(match)
        return delivered_at.date() if day is None else day

    def due(self, day: date) -> datetime:
        """When a file of that day is due. Only for a feed that has `expected_by`."""
        return datetime.combine(day, time(0), ZoneInfo(self.time_zone)) + self._expected_after

    def newest_day_due(self, now: datetime) -> date:
        """The newest day whose file is due by now. Only for a feed that has `expected_by`."""
        # Without the zone, so that the clock of the wall counts, as in `due`.
        wall = now.astimezone(ZoneInfo(self.time_zone)).replace(tzinfo=None)
        return (wall - self._expected_after).date()

    def is_expected(self, day: date) -> bool:
        """Whether there is to be a file of that day. Only for a feed that has `expected_by`."""
        return WEEKDAYS[day.weekday()] in self.expected_on

    @property
    def _expected_after(self) -> timedelta:
        hours, minutes = (self.expected_by or "00:00").split(":")
        return timedelta(hours=int(hours), minutes=int(minutes))

    @property
    def max_future_skew(self) -> timedelta:
        """How far order_by may lie after the delivery of its file."""
        return timedelta(seconds=self.max_future_skew_seconds)


def _doubled(names: list[str]) -> list[str]:
    folded = [name.lower() for name in names]
    return sorted({name for name in names if folded.count(name.lower()) > 1})
