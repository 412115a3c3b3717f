"""A feed: which files belong together, how they are read, and which row wins. One YAML file each."""

import re
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

SIMPLE_TYPES = ("string", "date", "timestamp", "bigint", "int", "double", "boolean")
DECIMAL = re.compile(r"decimal\((\d{1,2}),(\d{1,2})\)")
DEFAULT_FORMATS = {
    "date": ["yyyy-MM-dd"],
    "timestamp": [
        "yyyy-MM-dd HH:mm:ss[.SSSSSS]",
        "yyyy-MM-dd'T'HH:mm:ss[.SSSSSS]",
        "yyyy-MM-dd'T'HH:mm:ss[.SSSSSS]XXX",
    ],
}
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,99}$")]


class FeedError(ValueError):
    """A feed file that cannot be used. The message names the file, the field and what is wrong with it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """A column by the producer's own name, its type in the tables, and for dates the formats it may arrive in."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]
    type: str = "string"
    formats: list[str] = Field(default_factory=list, description="Spark datetime patterns, tried in order")
    optional: bool = Field(default=False, description="whether a file may lack it, as those of before it was added do")

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        value = value.replace(" ", "").lower()
        decimal = DECIMAL.fullmatch(value)
        if value not in SIMPLE_TYPES and not decimal:
            raise ValueError(f"unknown type {value!r}; one of {', '.join(SIMPLE_TYPES)}, decimal(p,s)")
        if decimal and not 1 <= int(decimal[1]) <= 38:
            raise ValueError(f"{value}: a decimal has 1 to 38 digits")
        if decimal and int(decimal[2]) > int(decimal[1]):
            raise ValueError(f"{value}: more digits behind the point than in all")
        return value

    @model_validator(mode="after")
    def _formats_where_they_mean_something(self) -> "Column":
        if self.formats and self.type not in DEFAULT_FORMATS:
            raise ValueError(f"formats are for dates and timestamps, {self.name} is a {self.type}")
        # Frozen for its users; filled in here so that the manifest states what was accepted.
        object.__setattr__(self, "formats", self.formats or DEFAULT_FORMATS.get(self.type, []))
        return self


class Csv(_Strict):
    """How the text of a file is cut into fields. Quote and escape are `"`, the encoding is UTF-8."""

    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    multiline: bool = Field(default=True, description="whether a quoted field may hold line breaks")


class Limits(_Strict):
    """What one batch takes at most; the rest waits in `source/` for the next run."""

    files: int = Field(default=500, gt=0)
    bytes: int = Field(default=10 * 1024**3, gt=0)


class Feed(_Strict):
    """The definition of a feed, as its YAML states it and as a manifest freezes it."""

    name: Identifier
    description: str
    prefix: Annotated[str, StringConstraints(pattern=r"^([^/]+/)+$")] = "source/"
    pattern: str = Field(description="regular expression on the name under the prefix; its group `date` dates the file")
    columns: list[Column] = Field(min_length=1)
    key: list[str] = Field(min_length=1)
    order_by: str = Field(description="the column whose greatest value wins")
    time_zone: str = Field(default="UTC", description="of timestamps that carry none")
    csv: Csv = Csv()
    max_future_skew_seconds: int = Field(default=86400, ge=0, description="of order_by against the delivery time")
    bad_row_share: float = Field(default=0.0, ge=0, le=1, description="of a batch, above which people are alerted")
    limits: Limits = Limits()

    @field_validator("pattern")
    @classmethod
    def _pattern_compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
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
        folded = [name.lower() for name in names]
        if doubled := sorted({name for name in names if folded.count(name.lower()) > 1}):
            raise ValueError(f"columns named twice (Delta does not tell case apart): {', '.join(doubled)}")
        for column in [*self.key, self.order_by]:
            if column not in names:
                raise ValueError(f"key and order_by name columns of the feed; {column!r} is not one")
        for column in self.columns:
            if column.optional and column.name in (*self.key, self.order_by):
                raise ValueError(f"{column.name} is of the key or order_by, which every file must have: not optional")
        order_type = next(column.type for column in self.columns if column.name == self.order_by)
        if order_type not in ("timestamp", "date"):
            raise ValueError(f"order_by must be a timestamp or date, {self.order_by} is a {order_type}")
        return self

    def match(self, object_name: str) -> re.Match[str] | None:
        """The match of the feed's pattern on the whole name directly under its prefix, else None."""
        if not object_name.startswith(self.prefix):
            return None
        name = object_name.removeprefix(self.prefix)
        return None if "/" in name else re.fullmatch(self.pattern, name)

    def file_date(self, object_name: str, delivered_at: datetime) -> date:
        """The date a file is filed under: its name's group `date`, else the UTC date of its delivery.

        Raises ValueError when the name carries a date that does not exist.
        """
        match = self.match(object_name)
        if match is None or "date" not in match.groupdict():
            return delivered_at.date()
        digits = re.sub(r"\D", "", match["date"])
        return datetime.strptime(digits, "%Y%m%d").date()  # noqa: DTZ007 - a date without a time has no zone

    @property
    def max_future_skew(self) -> timedelta:
        """How far order_by may lie after the delivery of its file."""
        return timedelta(seconds=self.max_future_skew_seconds)


def load_feed(path: Path) -> Feed:
    """Read a feed's YAML; the feed is named after the file. Raises FeedError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FeedError(f"{path.name}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise FeedError(f"{path.name}: expected a mapping of settings, found {type(content).__name__}")
    try:
        return Feed.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        raise FeedError(f"{path.name}: " + "; ".join(_problem(item) for item in error.errors())) from error


def _problem(item: ErrorDetails) -> str:
    field = ".".join(str(part) for part in item["loc"]) or "feed"
    return f"{field}: {item['msg'].removeprefix('Value error, ')}"
