"""Forms that files come in: line ends, headers, quotes and delimiters, read with multiline and without."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from tests.spark_jobs.conftest import Lake

FEED: dict[str, Any] = {
    "columns": [
        {"name": "at", "type": "date", "formats": ["yyyy-MM-dd"]},
        {"name": "key", "type": "string", "formats": []},
    ],
    "key": ["key"],
    "order_by": "at",
}
DAY = date(2026, 11, 20)

# Gives these columns of the rows that staging has of a file.
Staged = Callable[[str, str], list[tuple[Any, ...]]]


@pytest.fixture(scope="module", params=["multiline", "single lines"])
def staged(request: pytest.FixtureRequest, module_lake: Lake) -> Staged:
    """The files below, all of a delimiter in one batch, as they would take Spark seconds each."""
    folder: str = request.param
    for delimiter, contents in {",": NUMBERED | COMMAS, ";": SEMICOLONS, "\t": TABS}.items():
        entries = []
        for n, (file, content) in enumerate(contents.items(), start=1):
            header = ["at", "key"] if content.startswith(b"at") else ["key", "at"]
            entries.append(module_lake.deliver(content, n, f"{folder}/{file}", columns=header))
        module_lake.stage(*entries, csv={"delimiter": delimiter, "multiline": folder == "multiline"}, **FEED)

    def of_file(file: str, columns: str) -> list[tuple[Any, ...]]:
        return module_lake.rows("order_tracking_staging", columns, where=f"_source_file = 'source/{folder}/{file}'")

    return of_file


COMMAS = {
    "byte order mark": b"\xef\xbb\xbfkey,at\nA,2026-11-20\nB,2026-11-20\n",
    "byte order mark and CRLF": b"\xef\xbb\xbfkey,at\r\nA,2026-11-20\r\nB,2026-11-20\r\n",
    "mixed line ends": b"key,at\r\nA,2026-11-20\nB,2026-11-20\r\n",
    "blank lines": b"key,at\r\n\r\nA,2026-11-20\r\n\r\n  \r\nB,2026-11-20\r\n\r\n",
    "all quoted, no last line end": b'"key","at"\r\n"A","2026-11-20"\r\n"B","2026-11-20"',
    "columns in another order": b"at,key\n2026-11-20,A\n2026-11-20,B\n",
    "header in other case, with blanks": b"KEY, at \nA,2026-11-20\nB,2026-11-20\n",
}
SEMICOLONS = {"semicolons": b"key;at\nA;2026-11-20\nB;2026-11-20\n"}


@pytest.mark.parametrize("file", [*COMMAS, *SEMICOLONS])
def test_forms_of_a_file(staged: Staged, file: str) -> None:
    assert staged(file, "_record, key, at, _reasons") == [(1, "A", DAY, None), (2, "B", DAY, None)]


TABS = {"tabs": b"key\tat\nA\t2026-11-20\n\t\n\t\t\nB\t2026-11-20\n"}


def test_a_line_of_delimiters_is_a_row_also_where_they_are_tabs(staged: Staged) -> None:
    assert staged("tabs", "_record, key, _reasons") == [
        (1, "A", None),
        (2, None, ["at: missing", "key: missing"]),
        (3, None, ["record: wrong number of fields or broken quotes"]),
        (4, "B", None),
    ]


NUMBERED = {
    "1.csv": b"key,at\n1-1,2026-11-20\n1-2,2026-11-20\n",
    "2.csv": b"key,at\n2-1,2026-11-20\n2-2,2026-11-20\n",
    "3.csv": b"key,at\n3-1,2026-11-20\n3-2,2026-11-20\n",
    "4.csv": b"at,key\n2026-11-20,4-1\n",  # read apart from the others for its header
}


def test_records_are_numbered_per_file(staged: Staged) -> None:
    assert [staged(file, "key, _generation, _record") for file in NUMBERED] == [
        [("1-1", 1, 1), ("1-2", 1, 2)],
        [("2-1", 2, 1), ("2-2", 2, 2)],
        [("3-1", 3, 1), ("3-2", 3, 2)],
        [("4-1", 4, 1)],
    ]
