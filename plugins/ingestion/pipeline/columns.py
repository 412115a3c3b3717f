"""A column of a feed: its name and type in the tables, and how files name it and write its values."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from ingestion.pipeline.datetime_formats import EPOCH_FORMATS, check_format

SIMPLE_TYPES = ("string", "date", "timestamp", "bigint", "int", "double", "boolean")
DECIMAL = re.compile(r"decimal\((\d{1,2}),(\d{1,2})\)")
# As they are usually written: blanks and capitals are taken as well, but an editor need not offer them.
_TYPES_IN_SCHEMA = {"anyOf": [{"enum": list(SIMPLE_TYPES)}, {"pattern": r"^decimal\( *\d{1,2} *, *\d{1,2} *\)$"}]}
DEFAULT_FORMATS = {
    "date": ["yyyy-MM-dd"],
    "timestamp": [
        "yyyy-MM-dd HH:mm:ss[.SSSSSS]",
        "yyyy-MM-dd'T'HH:mm:ss[.SSSSSS]",
        "yyyy-MM-dd'T'HH:mm:ss[.SSSSSS]XXX",
    ],
}
# What surrounds a name, a key or a typed value without being part of it: the blanks of Unicode. The jobs have the same.
BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# For people, in comments of tables; some catalogs take no more, and none takes a NUL.
Text = Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00]*$")]
DecimalSeparator = Literal[".", ","]
ThousandsSeparator = Literal["", ".", ",", " ", "'", "\u2019"]


class Strict(BaseModel):
    """A part of a feed's YAML: what it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(Strict):
    """A column: its name and type in the tables, and how a file names it and writes its values."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")] = Field(
        description="in the tables, and in the file's header unless `header` says another"
    )
    header: str | None = Field(default=None, description="what the file's header says, where that is not the name")
    type: str = Field(default="string", description="in the tables", json_schema_extra=_TYPES_IN_SCHEMA)
    formats: list[str] = Field(
        default_factory=list,
        description="Spark datetime patterns, epoch_seconds or epoch_milliseconds, tried in order",
    )
    description: Text | None = Field(default=None, description="what it holds, for people; the column's comment")
    optional: bool = Field(default=False, description="whether a file may lack it, as those of before it was added do")
    nulls: list[str] | None = Field(default=None, description="texts that mean NULL; by default those of the feed")
    decimal_separator: DecimalSeparator | None = Field(default=None, description="by default that of the feed")
    thousands_separator: ThousandsSeparator | None = Field(default=None, description="by default that of the feed")

    @field_validator("header")
    @classmethod
    def _without_blanks_around(cls, value: str | None) -> str | None:
        if value is not None and not (value := value.strip(BLANKS)):
            raise ValueError("a column without a name in its file cannot be told from others")
        return value

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
        for pattern in self.formats:
            if self.type == "date" and pattern in EPOCH_FORMATS:
                raise ValueError(f"{self.name} is a date, and {pattern} tells a time: make it a timestamp")
            check_format(pattern)
        # Frozen for its users; filled in here so that the manifest states what was accepted.
        object.__setattr__(self, "formats", self.formats or DEFAULT_FORMATS.get(self.type, []))
        return self

    @property
    def text_in_header(self) -> str:
        """What the header of a file says for this column."""
        return self.header or self.name
