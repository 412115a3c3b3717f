"""Ranges of keys: narrow enough to skip files of the target, and never too narrow."""

import csv
import io
from typing import Any

import pytest
from pyspark.sql import functions as sf

from ingestion_jobs.keys import in_ranges, joined, staged_keys
from ingestion_jobs.manifest import read_manifest
from ingestion_jobs.merging import merge
from tests.spark_jobs.conftest import Lake, order


@pytest.mark.parametrize(
    ("groups", "ranges"),
    [
        pytest.param([], [], id="no keys"),
        pytest.param([("A7", "A7")], [("A7", "A7")], id="one key"),
        pytest.param([(f"{n}0", f"{n}9") for n in (3, 1, 2, 4, 5, 6, 8, 7)], [("10", "89")], id="close, in any order"),
        pytest.param(
            [("TRK-0100", "TRK-0199"), ("TRK-0200", "TRK-0299"), ("TRK-9000", "TRK-9345"), ("TRK-9346", "TRK-9678")],
            [("TRK-0100", "TRK-0299"), ("TRK-9000", "TRK-9678")],
            id="a gap between",
        ),
        pytest.param([("", ""), ("a", "b"), ("\U0001f600", "\U0001f600")], None, id="far apart in few letters"),
    ],
)
def test_groups_are_joined_unless_a_worthwhile_gap_lies_between(
    groups: list[tuple[str, str]], ranges: list[tuple[str, str]] | None
) -> None:
    assert joined(groups) == (groups if ranges is None else ranges)


def test_a_type_by_which_no_file_is_skipped_gives_no_condition() -> None:
    assert in_ranges("t.`k`", "double", [("1.0", "2.0")]) == ""
    assert in_ranges("t.`k`", "decimal(6,2)", [("1.50", "2.00")]) == "t.`k` BETWEEN 1.50BD AND 2.00BD"


def test_a_merge_reads_only_files_that_can_hold_its_keys(lake: Lake) -> None:
    lake.load(lake.orders(*(order(f"A{digit}", "first", "09:00:00") for digit in range(10)), generation=1))
    target = f"{lake.schema}.order_tracking"
    for letter in "ZK":  # a file each, quicker than by a load
        before = {*(lake.tables / "order_tracking").glob("**/*.parquet")}
        rows = lake.spark.table(target).where("tracking_num LIKE 'A%'").coalesce(1)
        rows.withColumn("tracking_num", sf.translate("tracking_num", "A", letter)).write.insertInto(target)
    (of_k,) = {*(lake.tables / "order_tracking").glob("**/*.parquet")} - before
    changed = ("A3", "Z1", "ZZ")
    batch = lake.orders(*(order(key, "second", "10:00:00") for key in changed), generation=9)

    away = of_k.rename(of_k.with_suffix(".away"))  # whoever opens it fails
    lake.load(batch)
    away.rename(of_k)

    assert [key for key, status in lake.target("tracking_num", "status") if status == "second"] == list(changed)
    assert len(lake.target("tracking_num")) == 31


TEXTS = {
    "int": ["-5", "7", "2147483647"],
    "bigint": ["-5", "7", "1000000007"],
    "decimal(12,2)": ["-5.50", "0.00", "1234567.89"],
    "date": ["0001-01-01", "2026-11-20", "9999-12-31"],
    "timestamp": ["2026-11-20 10:00:00", "2026-11-20 10:00:00.000001"],
    "double": ["-1e5", "0.1", "1e300"],
    "string": ["it's", "it's so", "back\\slash", "100%", "a\nb", "\U0001f600", "é", "\u007f"],
}


def column(type_: str) -> str:
    return type_.partition("(")[0] + "_key"


FORMATS = {"date": ["yyyy-MM-dd"], "timestamp": ["yyyy-MM-dd HH:mm:ss[.SSSSSS]"]}
FEED: dict[str, Any] = {
    "columns": [
        *({"name": column(type_), "type": type_, "formats": FORMATS.get(type_, [])} for type_ in TEXTS),
        {"name": "day", "type": "date", "formats": ["yyyy-MM-dd"]},
    ],
    "order_by": "day",
}
HEADER = [*map(column, TEXTS), "day"]


def typed_keys(day: str) -> str:
    """A file with a column for each type that holds all its texts, some of them again and again."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(HEADER)
    for n in range(max(map(len, TEXTS.values()))):
        writer.writerow([*(texts[n % len(texts)] for texts in TEXTS.values()), day])
    return text.getvalue()


@pytest.fixture(scope="module")
def days(module_lake: Lake) -> dict[str, dict[str, Any]]:
    """The files of two staged batches, the second newer, to be merged by a key of any type."""
    files = {
        "first": module_lake.deliver(typed_keys("2026-11-19"), 1, columns=HEADER),
        "second": module_lake.deliver(typed_keys("2026-11-20"), 2, columns=HEADER),
    }
    for batch, file in files.items():
        module_lake.stage(file, batch=batch, key=[column("string")], **FEED)
    return files


@pytest.mark.parametrize("type_", TEXTS)
def test_ranges_hold_the_keys_of_every_type(module_lake: Lake, days: dict[str, dict[str, Any]], type_: str) -> None:
    spark = module_lake.spark
    uri = module_lake.manifest(days["first"], batch="first", key=[column(type_)], **FEED)

    keys = staged_keys(spark, read_manifest(spark, uri))

    assert keys.count == len(TEXTS[type_])
    condition = in_ranges(column(type_), type_, keys.ranges) or "true"  # doubles have none
    staging = f"{module_lake.schema}.order_tracking_staging"
    outside = spark.sql(f"SELECT * FROM {staging} WHERE _batch_id = 'first' AND ({condition}) IS NOT TRUE")
    assert outside.collect() == []


@pytest.mark.parametrize("type_", ["timestamp", "string"])
def test_keys_are_found_again(module_lake: Lake, days: dict[str, dict[str, Any]], type_: str) -> None:
    module_lake.spark.sql(f"DROP TABLE IF EXISTS {module_lake.schema}.order_tracking")  # has the key of another feed
    found = []
    for batch, file in days.items():
        result = merge(module_lake.spark, module_lake.manifest(file, batch=batch, key=[column(type_)], **FEED))
        found.append((result["rows_inserted"], result["rows_updated"]))
    keys = len(TEXTS[type_])
    assert found == [(keys, 0), (0, keys)]
