"""Which bytes are a whole gzip file, as the tools that write such files make them."""

import gzip
import hashlib
from collections.abc import Iterator

import pytest

from ingestion.pipeline.gzip_files import DamagedError, check_whole

# Hashes of numbers, as they cannot be compressed.
CONTENT = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(100_000))
WHOLE = gzip.compress(CONTENT)
# 200 MB of one letter in 200 kB.
DENSE = gzip.compress(b"a" * 200_000_000, compresslevel=1)


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


@pytest.mark.parametrize("size", [999_983, 4 * 1024 * 1024])
@pytest.mark.parametrize(
    "content",
    [WHOLE, WHOLE + WHOLE, gzip.compress(b""), gzip.compress(b"") + WHOLE, DENSE],
    ids=["one member", "two members", "of nothing", "an empty member first", "dense"],
)
def test_a_whole_file_is_read_through(content: bytes, size: int) -> None:
    check_whole(pieces(content, size))


def test_pieces_may_end_anywhere() -> None:
    check_whole(pieces(gzip.compress(b"a") + gzip.compress(b"b"), 1))


@pytest.mark.parametrize(
    "content",
    [
        WHOLE[:-1],
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:1_000_000] + b"\0" + WHOLE[1_000_001:],
        WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:],
        WHOLE + b"a line of text",
        WHOLE + WHOLE[:5],
        DENSE[:-1],
        b"",
    ],
    ids=["without its last byte", "a half", "changed", "other checksum", "text behind", "cut second", "dense", "none"],
)
def test_a_damaged_file_is_told(content: bytes) -> None:
    with pytest.raises(DamagedError):
        check_whole(pieces(content, 1_000_003))
