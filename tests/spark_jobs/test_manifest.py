from typing import Any

import pytest

from ingestion_jobs.manifest import parse_manifest
from tests.spark_jobs.conftest import HEADER, feed


def document(**changes: Any) -> dict[str, Any]:
    file = {
        "object": "source/a.csv",
        "generation": 1,
        "date": "2026-11-20",
        "delivered_at": "2026-11-20T10:14:58Z",
        "size": 100,
        "columns": HEADER.split(","),
        "input": "gs://orders-data/batches/order_tracking/b1/input/00001.csv",
    }
    return {
        "version": 1,
        "batch_id": "20261120T101500Z-1f3a9c2b",
        "run_id": "scheduled__2026",
        "feed": feed(),
        "tables": {"target": "o.t", "staging": "o.s", "quarantine": "o.q", "log": "o.l"},
        "files": [file | changes.pop("file", {})],
    } | changes


def test_types_are_written_as_spark_writes_them() -> None:
    columns = [{"name": "a", "type": "DECIMAL(10, 2)", "formats": []}, {"name": "b", "type": "date", "formats": ["y"]}]
    manifest = parse_manifest(
        document(feed=feed(columns=columns, key=["a"], order_by="b"), file={"columns": ["b", "a"]})
    )
    assert [(column.name, column.type, column.formats) for column in manifest.feed.columns] == [
        ("a", "decimal(10,2)", ()),
        ("b", "date", ("y",)),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 3}, "version is 3, these jobs read 1 and 2"),
        ({"batch_id": "x' OR '1'='1"}, "is no batch id"),
        ({"file": {"columns": ["order_num"]}}, "columns of source/a.csv are not those of feed order_tracking"),
        ({"file": {"input": "gs://b/batches/_hidden.csv"}}, "Spark would not read gs://b/batches/_hidden.csv"),
        ({"file": {"input": "gs://b/batches/[1].csv"}}, "Spark would not read"),
        ({"feed": feed(key=["tracking"])}, "key or order_by names no column: tracking"),
        ({"files": document()["files"] * 2}, "two files have inputs of the same name"),
    ],
)
def test_what_the_jobs_rely_on_is_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        parse_manifest(document(**changes))
