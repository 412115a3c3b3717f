"""Files as rows of text: their forms, their text as it was meant, and the place of each record in its file."""

from datetime import date

import pytest

from ingestion_jobs import staging
from tests.spark_jobs.conftest import HEADER, Lake, order


def test_good_text_arrives_unchanged(lake: Lake) -> None:
    addresses = {
        "A": ('"two\nlines"', "two\nlines"),
        "B": ('"two\r\nlines"', "two\r\nlines"),
        "C": ('"a ""quoted"" word"', 'a "quoted" word'),
        "D": ('"comma, in it"', "comma, in it"),
        "E": ("ends in \\", "ends in \\"),
        "F": ('"ends in \\"', "ends in \\"),
        "G": ("NULL", "NULL"),
        "H": ("\\N", "\\N"),
        "I": ("00123", "00123"),
        "J": ("1e5", "1e5"),
        "K": ("=1+1", "=1+1"),
        "L": ("  spaces  ", "  spaces  "),
        "M": ('5" pipe', '5" pipe'),
        "N": ('"Big" house', '"Big" house'),
        "O": ("Zürich 東京 🚚", "Zürich 東京 🚚"),
        "P": ('""', None),
        "Q": ('"1, 2, 3, 4, 5, 6, 7\n1, 2, 3, 4, 5, 6, 7"', "1, 2, 3, 4, 5, 6, 7\n1, 2, 3, 4, 5, 6, 7"),
        "R": ('"""The Loft""\nMain St"', '"The Loft"\nMain St'),
        "S": ('"' + "x" * 2_000_000 + '"', "x" * 2_000_000),
        "T": ('"{\n' + '""k"": 1, ' * 20_000 + '}"', "{\n" + '"k": 1, ' * 20_000 + "}"),
    }
    file = lake.orders(*(order(key, "ok", "09:00:00", raw) for key, (raw, _) in addresses.items()), generation=1)

    result = lake.stage(file)

    assert lake.rows("order_tracking_staging", ["tracking_num", "address"]) == [
        (key, text) for key, (_, text) in addresses.items()
    ]
    assert result["rows_quarantined"] == 0


@pytest.mark.parametrize("multiline", [True, False])
def test_a_line_of_delimiters_is_a_row_also_where_they_are_tabs(lake: Lake, multiline: bool) -> None:
    columns = [{"name": "key", "type": "string"}, {"name": "at", "type": "date", "formats": ["yyyy-MM-dd"]}]
    changes = {"columns": columns, "key": ["key"], "order_by": "at", "csv": {"delimiter": "\t", "multiline": multiline}}
    text = "key\tat\nA\t2026-11-20\n\t\n\t\t\nB\t2026-11-20\n"
    result = lake.stage(lake.deliver(text, 1, columns=["key", "at"]), **changes)
    assert (result["rows_staged"], result["rows_quarantined"]) == (2, 2)


@pytest.mark.parametrize("multiline", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbfkey,at\nA,2026-11-20\nB,2026-11-20\n", id="byte order mark"),
        pytest.param(b"\xef\xbb\xbfkey,at\r\nA,2026-11-20\r\nB,2026-11-20\r\n", id="byte order mark and CRLF"),
        pytest.param(b"key,at\r\nA,2026-11-20\nB,2026-11-20\r\n", id="mixed line ends"),
        pytest.param(b"key,at\r\n\r\nA,2026-11-20\r\n\r\n  \r\nB,2026-11-20\r\n\r\n", id="blank lines"),
        pytest.param(b'"key","at"\r\n"A","2026-11-20"\r\n"B","2026-11-20"', id="all quoted, no last line end"),
        pytest.param(b"at,key\n2026-11-20,A\n2026-11-20,B\n", id="columns in another order"),
        pytest.param(b"key;at\nA;2026-11-20\nB;2026-11-20\n", id="semicolons"),
        pytest.param(b"KEY, at \nA,2026-11-20\nB,2026-11-20\n", id="header in other case, with blanks"),
    ],
)
def test_forms_of_a_file(lake: Lake, content: bytes, multiline: bool) -> None:
    header = ["at", "key"] if content.startswith(b"at") else ["key", "at"]
    columns = [
        {"name": "at", "type": "date", "formats": ["yyyy-MM-dd"]},
        {"name": "key", "type": "string", "formats": []},
    ]
    csv = {"delimiter": ";" if b";" in content else ",", "multiline": multiline}

    lake.stage(lake.deliver(content, 1, columns=header), columns=columns, key=["key"], order_by="at", csv=csv)

    day = date(2026, 11, 20)
    assert lake.rows("order_tracking_staging", ["_record", "key", "at"]) == [(1, "A", day), (2, "B", day)]


@pytest.mark.parametrize("multiline", [True, False])
def test_records_are_numbered_per_file(lake: Lake, multiline: bool) -> None:
    files = [
        lake.orders(order(f"{n}-1", "ok", "09:00:00"), order(f"{n}-2", "ok", "09:00:00"), generation=n, name=f"{n}.csv")
        for n in (1, 2, 3)
    ]
    shuffled = lake.deliver(
        "last_update_timestamp,order_num,tracking_num,pck_recieved_date,package_deliver_date,status,address\n"
        "2026-11-20 09:00:00,O1,4-1,,,ok,x\n",
        4,
        columns=["last_update_timestamp", *HEADER.split(",")[:-1]],
    )

    lake.stage(*files, shuffled, csv={"delimiter": ",", "multiline": multiline})

    assert lake.rows("order_tracking_staging", ["tracking_num", "_generation", "_record"]) == [
        ("1-1", 1, 1),
        ("1-2", 1, 2),
        ("2-1", 2, 1),
        ("2-2", 2, 2),
        ("3-1", 3, 1),
        ("3-2", 3, 2),
        ("4-1", 4, 1),
    ]


def test_files_that_share_a_partition_are_numbered_apart(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    # As where Spark does not keep to the size of partitions that it is told.
    monkeypatch.setattr(staging, "_FILE_PER_PARTITION", ("spark.sql.files.maxPartitionBytes", "128m"))
    rows = (order("A", "ok", "09:00:00"), order("B", "ok", "09:00:00"))
    result = lake.stage(*(lake.orders(*rows, generation=n, name=f"{n}.csv") for n in range(1, 9)))
    assert (result["rows_read"], result["rows_quarantined"]) == (16, 0)
    found = lake.rows("order_tracking_staging", ["_generation", "_record", "tracking_num"], order_by="1, 2")
    assert found == [(n, record, key) for n in range(1, 9) for record, key in ((1, "A"), (2, "B"))]


@pytest.mark.parametrize("files", [1, 2])
def test_records_of_a_large_file_are_numbered_in_order(lake: Lake, files: int) -> None:
    lines = [order(f"T{number}", "ok", "09:00:00", f'"line one\n{"x" * 80}"') for number in range(1, 50_001)]
    assert len("".join(lines)) > 5_000_000
    entries = [lake.orders(*lines, generation=n, name=f"{n}.csv") for n in range(1, files + 1)]

    result = lake.stage(*entries)

    assert result["rows_staged"] == 50_000 * files
    wrong = "count(*) FILTER (WHERE tracking_num <> concat('T', _record))"
    assert lake.rows("order_tracking_staging", [wrong, "count(DISTINCT _record)"]) == [(0, 50_000)]
