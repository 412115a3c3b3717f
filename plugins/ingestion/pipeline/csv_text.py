"""How the text of a feed's files is cut into records and fields."""

import codecs
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator, model_validator

from ingestion.pipeline.columns import Strict

_UTF_16 = ("utf-16", "utf-16-le", "utf-16-be")


class Csv(Strict):
    """How the text of a file is cut into records and fields."""

    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = Field(
        default=",", description="the character between two fields"
    )
    quote: Annotated[str, StringConstraints(max_length=1)] = Field(default='"', description='"" for files without any')
    escape: Annotated[str, StringConstraints(min_length=1, max_length=1)] | None = Field(
        default=None, description="what stands before a quote in a quoted field; by default the quote, doubled"
    )
    encoding: str = Field(default="utf-8", description="utf-8, utf-16, or one of one byte a letter as windows-1252")
    multiline: bool = Field(default=True, description="whether a quoted field may hold line breaks")
    skip_lines: int = Field(default=0, ge=0, le=1000, description="lines above the header")
    header: bool = Field(default=True, description="whether the first line names the columns; else they come in order")
    ignore_lines: list[Annotated[str, StringConstraints(min_length=1)]] = Field(
        default_factory=list, description="lines that begin with one of these are no rows: comments, totals"
    )

    @field_validator("encoding")
    @classmethod
    def _readable_encoding(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
            letters = bytes(range(256)).decode(name, errors="replace")
        except (LookupError, ValueError) as error:
            raise ValueError(f"unknown encoding {value!r}; utf-8, utf-16, windows-1252 and the like") from error
        of_one_byte = len(letters) == 256 and letters[:128] == bytes(range(128)).decode("ascii")
        if name == "utf-8-sig":
            return "utf-8"
        if not (name in ("utf-8", *_UTF_16) or of_one_byte):
            raise ValueError(f"{value} cannot be read; utf-8, utf-16 and encodings of one byte a letter can")
        return name

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> "Csv":
        if self.delimiter in "\r\n\0\ufeff" or (self.quote and self.quote in "\r\n\0\ufeff"):
            raise ValueError("delimiter and quote cannot be a line break or NUL")
        if self.delimiter in (self.quote, self.escape):
            raise ValueError(f"delimiter {self.delimiter!r} is the quote or the escape too")
        if not self.quote and self.escape:
            raise ValueError("escape is for a quote in a quoted field, and quote is empty")
        if not self.multiline and self.encoding != "utf-8":
            raise ValueError(f"multiline: false is for files in utf-8, not {self.encoding}: leave it out")
        for text in (self.delimiter, self.quote, self.escape or "", *self.ignore_lines):
            if not _has_letters(self.encoding, text):
                raise ValueError(f"{text!r} cannot stand in a file in {self.encoding}")
        for text in self.ignore_lines:
            if self.delimiter in text or (self.quote and self.quote in text):
                raise ValueError(f"ignore_lines: {text!r} is compared with the first field: no delimiter, no quote")
        return self


def _has_letters(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
