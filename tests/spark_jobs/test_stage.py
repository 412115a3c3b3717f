from datetime import UTC, date, datetime
from typing import Any

import pytest

from ingestion_jobs.errors import IngestionError
from ingestion_jobs.staging import stage
from tests.spark_jobs.conftest import HEADER, Lake, order

BUSINESS = HEADER.split(",")
LINEAGE = ["_delivered_at", "_source_file", "_generation", "_record"]


def test_good_rows_are_staged_typed_with_their_place_in_the_file(module_lake: Lake) -> None:
    file = module_lake.orders(
        'O1,T1,2026-11-18,2026-11-21,shipped,"1 Main St, Springfield",2026-11-20 09:30:00\n',
        "O2,T2,2026-11-19,,received,,2026-11-20 09:31:05\n",
        generation=7,
        name="good.csv",
        delivered_at="2026-11-20T10:14:58.123456Z",
    )

    result = module_lake.stage(file, batch="good")

    delivered = datetime(2026, 11, 20, 10, 14, 58, 123456, tzinfo=UTC)
    columns = [*BUSINESS, *LINEAGE, "_reasons", "_raw"]
    assert module_lake.rows("order_tracking_staging", columns, where="_batch_id = 'good'") == [
        (
            *("O1", "T1", date(2026, 11, 18), date(2026, 11, 21), "shipped", "1 Main St, Springfield"),
            *(datetime(2026, 11, 20, 9, 30, tzinfo=UTC), delivered, "source/good.csv", 7, 1, None, None),
        ),
        (
            *("O2", "T2", date(2026, 11, 19), None, "received", None),
            *(datetime(2026, 11, 20, 9, 31, 5, tzinfo=UTC), delivered, "source/good.csv", 7, 2, None, None),
        ),
    ]
    assert module_lake.rows("order_tracking_quarantine", where="_batch_id = 'good'") == []
    assert result == {
        "step": "stage",
        "batch_id": "good",
        "rows_read": 2,
        "rows_staged": 2,
        "rows_quarantined": 0,
        "rows_erased": 0,
        "files": [
            {"object": "source/good.csv", "generation": 7, "rows_read": 2, "rows_staged": 2}
            | {"rows_quarantined": 0, "rows_erased": 0}
        ],
        "reasons": {},
    }


def test_every_type_takes_its_values_and_refuses_others(lake: Lake) -> None:
    columns = [
        {"name": "id", "type": "bigint", "formats": []},
        {"name": "at", "type": "timestamp", "formats": ["yyyy-MM-dd'T'HH:mm:ssXXX", "yyyy-MM-dd HH:mm:ss[.SSSSSS]"]},
        {"name": "day", "type": "date", "formats": ["yyyy-MM-dd", "dd.MM.yyyy"]},
        {"name": "price", "type": "decimal(6,2)", "formats": []},
        {"name": "pieces", "type": "int", "formats": []},
        {"name": "weight", "type": "double", "formats": []},
        {"name": "paid", "type": "boolean", "formats": []},
    ]
    text = "\n".join(
        [
            "id,at,day,price,pieces,weight,paid",
            "1,2026-07-01T12:00:00+02:00,2026-07-01,1234.50,7,1e5,true",
            "2,2026-07-01 12:00:00.123456,31.12.2026,1.5000,-7,0.5,FALSE",
            "3, 2026-07-01 12:00:00 ,,,,,",
            "4,2026-01-01 12:00:00,2026-02-30,1.505,1.5,abc,perhaps",
            "5,2026-01-01,20261231,12345.00,99999999999,,",
            "x,2026-01-01 12:00:00,,1e3,,,",
        ]
    )
    file = lake.deliver(text, 1, columns=["id", "at", "day", "price", "pieces", "weight", "paid"])

    result = lake.stage(file, columns=columns, key=["id"], order_by="at", time_zone="Europe/Berlin")

    names = ["id", "at", "day", "CAST(price AS VARCHAR)", "pieces", "weight", "paid"]
    # Berlin is two hours ahead of UTC in July.
    assert lake.staged(names) == [
        (1, datetime(2026, 7, 1, 10, tzinfo=UTC), date(2026, 7, 1), "1234.50", 7, 100000.0, True),
        (2, datetime(2026, 7, 1, 10, 0, 0, 123456, tzinfo=UTC), date(2026, 12, 31), "1.50", -7, 0.5, False),
        (3, datetime(2026, 7, 1, 10, tzinfo=UTC), None, None, None, None, None),
    ]
    assert result["reasons"] == {
        "id: not a bigint": 1,
        "at: not a timestamp": 1,
        "day: not a date": 2,
        "price: not a decimal(6,2)": 3,
        "pieces: not a int": 2,
        "weight: not a double": 1,
        "paid: not a boolean": 1,
    }


@pytest.mark.parametrize("policy", ["LEGACY", "EXCEPTION"])
def test_how_the_session_reads_times_makes_no_difference(module_lake: Lake, policy: str) -> None:
    module_lake.spark.conf.set("spark.sql.legacy.timeParserPolicy", policy)
    module_lake.spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    # Spark 2 took the beginning of a text for the whole, and EXCEPTION fails the query where it would have.
    texts = ("09:00:00", "09:00:00 or so")
    lines = (order(f"T{n}", "ok", text) for n, text in enumerate(texts))
    result = module_lake.stage(module_lake.orders(*lines, generation=1, name=policy), batch=policy)
    assert result["reasons"] == {"last_update_timestamp: not a timestamp": 1}
    updated = datetime(2026, 11, 20, 9, tzinfo=UTC)
    found = module_lake.staged("tracking_num, last_update_timestamp", where=f"_batch_id = '{policy}'")
    assert found == [("T0", updated)]


def test_bad_rows_go_to_quarantine_with_every_reason_and_their_text(module_lake: Lake) -> None:
    good = order("T1", "ok", "09:00:00").encode()
    bad = {
        b"O,,2026-11-18,,ok,x,2026-11-20 09:00:00": ["tracking_num: missing"],
        b"O, \t ,2026-11-18,,ok,x,2026-11-20 09:00:00": ["tracking_num: missing"],
        b"O,T,2026-11-18,,ok,x,": ["last_update_timestamp: missing"],
        b"O,T,2026-11-18,,ok,x,yesterday": ["last_update_timestamp: not a timestamp"],
        b"O,T,2026-11-18,,ok,x,2026-11-21 10:14:59": ["last_update_timestamp: in the future"],
        b"O,T,18.11.2026,2026-02-30,ok,x,2026-11-20 09:00:00": [
            "pck_recieved_date: not a date",
            "package_deliver_date: not a date",
        ],
        b"O,,x,,ok,x,": [
            "tracking_num: missing",
            "pck_recieved_date: not a date",
            "last_update_timestamp: missing",
        ],
        b"O,T,2026-11-18,,ok,Z\xfcrich,2026-11-20 09:00:00": ["address: not UTF-8"],
        b"O,T,2026-11-18": ["record: wrong number of fields or broken quotes"],
        b"O,T,2026-11-18,,ok,x,2026-11-20 09:00:00,more": ["record: wrong number of fields or broken quotes"],
        b"," * 50_000: ["record: wrong number of fields or broken quotes"],
    }
    content = HEADER.encode() + b"\n" + good + b"\n".join(bad) + b"\n" + order("T2", "ok", "09:00:00").encode()

    result = module_lake.stage(module_lake.deliver(content, 3, "bad.csv", date="2026-11-19"), batch="bad")

    ours = "_batch_id = 'bad'"
    assert module_lake.staged("tracking_num, _record", where=ours) == [("T1", 1), ("T2", 13)]
    found = module_lake.rows("order_tracking_quarantine", "_record, reasons", where=ours)
    assert found == [(record, reasons) for record, reasons in enumerate(bad.values(), start=2)]
    lineage = module_lake.rows("order_tracking_quarantine", [*LINEAGE[:-1], "file_date"], where=ours)
    delivered = datetime(2026, 11, 20, 10, 14, 58, tzinfo=UTC)
    assert set(lineage) == {(delivered, "source/bad.csv", 3, date(2026, 11, 19))}
    in_staging = module_lake.rows("order_tracking_staging", "_record, _reasons", where=ours)
    assert [row for row in in_staging if row[1] is not None] == found, "the merge leaves out rows with reasons"
    raw = dict(module_lake.rows("order_tracking_quarantine", "_record, raw", where=ours))
    assert raw[5] == (
        '{"order_num":"O","tracking_num":"T","pck_recieved_date":"2026-11-18","package_deliver_date":null,'
        '"status":"ok","address":"x","last_update_timestamp":"yesterday"}'
    )
    assert raw[10] == "O,T,2026-11-18"
    assert (result["rows_read"], result["rows_staged"], result["rows_quarantined"]) == (13, 2, 11)
    assert result["reasons"]["record: wrong number of fields or broken quotes"] == 3
    assert result["reasons"]["tracking_num: missing"] == 3


def test_a_header_alone_is_a_success_of_no_rows(module_lake: Lake) -> None:
    empty = module_lake.deliver(HEADER, 1, "empty.csv")
    blank_lines = module_lake.deliver(HEADER + "\r\n" * 50, 2, "blank_lines.csv")
    full = module_lake.orders(order("T1", "ok", "09:00:00"), generation=3, name="full.csv")

    assert module_lake.stage(empty, blank_lines, full)["rows_staged"] == 1
    line_end = module_lake.deliver(f"{HEADER}\n", 4, "empty.csv")
    assert module_lake.load(empty, blank_lines, line_end)["rows_staged"] == 0


def test_staging_again_replaces_the_batch_and_leaves_others(module_lake: Lake) -> None:
    other = module_lake.orders(order("T1", "other batch", "09:00:00"), generation=1, name="again.csv")
    module_lake.stage(other, batch="again-1")
    lines = (order("T2", "ok", "09:00:00"), order("", "bad", "09:00:00"))
    file = module_lake.orders(*lines, generation=2, name="again.csv")
    first = module_lake.stage(file, batch="again-2")

    assert module_lake.stage(file, batch="again-2") == first
    ours = "_source_file = 'source/again.csv'"
    columns = "_batch_id, _record, tracking_num, _reasons"
    assert module_lake.rows("order_tracking_staging", columns, order_by="1, 2", where=ours) == [
        ("again-1", 1, "T1", None),
        ("again-2", 1, "T2", None),
        ("again-2", 2, None, ["tracking_num: missing"]),
    ]
    assert len(module_lake.rows("order_tracking_quarantine", where=ours)) == 1


def test_loading_a_generation_again_replaces_its_quarantined_rows_alone(module_lake: Lake) -> None:
    good, bad = order("T1", "ok", "09:00:00"), order("", "bad", "09:00:00")

    def file(name: str, generation: int, *lines: str) -> dict[str, Any]:
        return module_lake.orders(*lines, generation=generation, name=f"loaded again/{name}.csv")

    def quarantined() -> list[tuple[Any, ...]]:
        columns, ours = "_source_file, _generation, _record", "_source_file LIKE 'source/loaded again/%'"
        return module_lake.rows("order_tracking_quarantine", columns, order_by="1, 2, 3", where=ours)

    module_lake.stage(file("a", 1, bad, bad), file("a", 2, bad), file("b", 2, bad))
    assert len(quarantined()) == 4

    # As after a correction of the feed: what was bad is good now, and one more row is bad.
    module_lake.stage(file("a", 1, good), file("b", 2, bad, bad))
    assert quarantined() == [
        ("source/loaded again/a.csv", 2, 1),
        ("source/loaded again/b.csv", 2, 1),
        ("source/loaded again/b.csv", 2, 2),
    ]

    module_lake.stage(file("a", 2, good))  # no bad row is left in this batch
    assert {name for name, *_ in quarantined()} == {"source/loaded again/b.csv"}


def test_a_missing_manifest_is_named(module_lake: Lake) -> None:
    with pytest.raises(IngestionError, match=r"manifest .*nowhere\.json does not exist: run plan_batch"):
        stage(module_lake.spark, str(module_lake.files / "nowhere.json"))


def test_a_missing_input_is_named(module_lake: Lake) -> None:
    there = module_lake.orders(order("T1", "ok", "09:00:00"), generation=1)
    gone = {**module_lake.orders(generation=2, name="gone.csv"), "input": str(module_lake.files / "99999.csv")}
    with pytest.raises(IngestionError, match=r"cannot read .*99999\.csv, pinned copy of source/gone\.csv"):
        module_lake.stage(there, gone)


@pytest.mark.parametrize("others", [0, 1])
def test_a_header_that_is_not_the_one_of_the_manifest_fails_the_batch(module_lake: Lake, others: int) -> None:
    swapped = HEADER.replace("order_num,tracking_num", "tracking_num,order_num")
    files = [module_lake.deliver(f"{swapped}\n{order('T1', 'ok', '09:00:00')}", 1, "swapped.csv")]
    files += [module_lake.orders(order("T2", "ok", "09:00:00"), generation=2)] * others
    with pytest.raises(IngestionError, match=r"the header of .* as the manifest says of source/swapped\.csv"):
        module_lake.stage(*files)
