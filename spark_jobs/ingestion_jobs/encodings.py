"""Text in other encodings than UTF-8.

Spark knows UTF-8, UTF-16 and ISO-8859-1 alone. An encoding of one byte a letter is read as ISO-8859-1, which keeps
every byte, and its letters are put in their places afterwards. Python says which they are.
"""

from pyspark.sql import Column
from pyspark.sql import functions as sf

# What decoders put in place of bytes that mean nothing.
UNDECODABLE = "\ufffd"
_READ_BY_SPARK = {"utf-8": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE"}
_ONE_BYTE = "ISO-8859-1"


def read_as(encoding: str) -> str:
    """The encoding that Spark is told."""
    return _READ_BY_SPARK.get(encoding, _ONE_BYTE)


def as_read(letter: str, encoding: str) -> str:
    """A delimiter or quote as it stands in the text before `decoded`."""
    return letter if encoding in _READ_BY_SPARK else letter.encode(encoding).decode(_ONE_BYTE)


def decoded(text: Column, encoding: str) -> Column:
    """The text that was meant, with U+FFFD for bytes that the encoding does not know."""
    if encoding in _READ_BY_SPARK:
        return text
    every_byte = bytes(range(256))
    read, meant = every_byte.decode(_ONE_BYTE), every_byte.decode(encoding, errors="replace")
    others = [(one, other) for one, other in zip(read, meant, strict=True) if one != other]
    if not others:
        return text
    return sf.translate(text, "".join(one for one, _ in others), "".join(other for _, other in others))
