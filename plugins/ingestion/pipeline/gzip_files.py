"""Files compressed by gzip (RFC 1952): one or more members, each with the checksum of what it holds. Pure."""

import zlib
from collections.abc import Iterable

_MEMBER = zlib.MAX_WBITS | 16
_PIECE = 1024 * 1024


class DamagedError(ValueError):
    """The bytes are not those of a whole gzip file. The message says what is wrong."""


def unpacked_head(head: bytes, is_whole: bool, limit: int) -> tuple[bytes, bool]:
    """What the first bytes of a file unpack to, at most `limit` bytes of it, and whether that is the whole content.

    `is_whole` tells that the head is all that the file has. Raises DamagedError.
    """
    member = zlib.decompressobj(wbits=_MEMBER)
    content = _unpacked(member, head, limit)
    return content, is_whole and member.eof and not member.unused_data


def check_whole(chunks: Iterable[bytes]) -> None:
    """Read a file through to its end and raise DamagedError if a part of it is missing or changed.

    It takes the memory of a chunk, however much that unpacks to.
    """
    member = zlib.decompressobj(wbits=_MEMBER)
    for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                member = zlib.decompressobj(wbits=_MEMBER)
            _unpacked(member, rest, _PIECE)
            rest = member.unused_data if member.eof else member.unconsumed_tail
    # What was read in last may unpack to several pieces more.
    while not member.eof:
        if not _unpacked(member, b"", _PIECE):
            raise DamagedError("its end is missing")


def _unpacked(member: "zlib._Decompress", data: bytes, limit: int) -> bytes:
    try:
        return member.decompress(data, limit)
    except zlib.error as error:
        raise DamagedError(str(error)) from error
