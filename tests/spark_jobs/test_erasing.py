"""Somebody out of the tables, down to the files on disk, and out of every later load."""

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from deltalake import DeltaTable

from ingestion_jobs import staging
from ingestion_jobs.erasing import erase
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.merging import merge
from ingestion_jobs.staging import stage
from tests.conftest import SparkRemote
from tests.oracle import Delivery, expected_target
from tests.spark_jobs.conftest import HEADER, Lake, feed, order
from tests.spark_jobs.test_entries import run
from tests.spark_jobs.test_oldest_client import plain

TABLES = ("order_tracking", "order_tracking_staging", "order_tracking_quarantine")
COLUMNS = [*HEADER.split(","), "_delivered_at", "_source_file", "_generation", "_record"]
WHO, STREET = "PERSON-1", "5 Secret St"


def request(lake: Lake, *lines: str, archive: Path | None = None, **changes: Any) -> str:
    """Write a request as plan_erasure does, and its list of keys, if there are any; returns its URI."""
    number = f"{next(lake.numbers):05}"
    keys = lake.files / f"keys-{number}.txt"
    keys.write_text("".join(f"{line}\n" for line in lines))
    roles = {"target": "", "staging": "_staging", "quarantine": "_quarantine"}
    document = {
        "version": 1,
        "erasure_id": f"erasure-{number}",
        "feed": feed(**changes),
        "tables": {role: f"{lake.schema}.order_tracking{suffix}" for role, suffix in roles.items()}
        | {"log": f"{lake.schema}.ingestion_log"},
        "keys": str(keys) if lines else None,
        "archive": archive and str(archive),
    }
    path = lake.files / f"request-{number}.json"
    path.write_text(json.dumps(document))
    return str(path)


def tables_with(lake: Lake, *texts: str) -> set[str]:
    """The tables that have one of the texts in any Parquet file on disk, those of old versions and of nobody too."""
    found = set()
    for table in TABLES:
        for file in (lake.tables / table).rglob("*.parquet"):
            values = [
                str(value) for row in pyarrow.parquet.ParquetFile(file).read().to_pylist() for value in row.values()
            ]
            if any(text in value for text in texts for value in values):
                found.add(table)
    return found


def files_of(lake: Lake, table: str) -> set[str]:
    """The files of the newest version."""
    return set(DeltaTable(str(lake.tables / table)).file_uris())


def forget_at_once(lake: Lake) -> None:
    """Let VACUUM remove at once what it would keep for a week."""
    for table in TABLES:
        setting = "'delta.deletedFileRetentionDuration' = 'interval 0 hours'"
        lake.spark.sql(f"ALTER TABLE {lake.schema}.{table} SET TBLPROPERTIES ({setting})")


def counts(result: dict[str, Any]) -> tuple[int, ...]:
    return tuple(result[name] for name in ("keys", "keys_new", "rows_target", "rows_staging", "rows_quarantine"))


@dataclass(frozen=True)
class Story:
    """Two files that were loaded before somebody in them was erased, and what there was to see."""

    lake: Lake
    files: tuple[dict[str, Any], ...]
    before: set[str]
    old_files: set[str]
    result: dict[str, Any]
    at_once: set[str]


@pytest.fixture(scope="module")
def story(module_lake: Lake) -> Story:
    lake = module_lake
    first = lake.orders(
        order("T1", "received", "09:00:00"), order(WHO, "received", "09:00:00", STREET), generation=1, name="a.csv"
    )
    second = lake.orders(
        order(WHO, "shipped", "10:00:00", STREET),
        order("T1", "shipped", "10:00:00"),
        order(WHO, "bad", "yesterday", STREET),
        order("T3", "bad", "yesterday"),
        f"O1,{WHO},{STREET}\n",
        f"O1,{WHO}X,too short\n",
        order("T2", "received", "09:00:00"),
        generation=2,
        name="b.csv",
    )
    lake.load(first, batch="b1")
    lake.load(second, batch="b2")
    before = tables_with(lake, WHO, STREET)
    result = erase(lake.spark, request(lake, WHO))
    old_files = tables_with(lake, WHO, STREET)
    forget_at_once(lake)
    again = erase(lake.spark, request(lake))
    assert counts(again) == (0, 0, 0, 0, 0)
    return Story(lake, (first, second), before, old_files, result, tables_with(lake, f"{WHO}'", STREET))


def others(lake: Lake) -> dict[str, dict[str, Any]]:
    """The target by key, as the oracle has it: dates as text, times without their zone."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in lake.target(*COLUMNS)]
    return {row["tracking_num"]: {name: plain(value) for name, value in row.items()} for row in rows}


def expected(story: Story) -> dict[str, dict[str, Any]]:
    delivered_at = datetime(2026, 11, 20, 10, 14, 58, tzinfo=UTC)
    deliveries = [
        Delivery(file["object"], file["generation"], delivered_at, "".join(good_lines(Path(file["input"]))))
        for file in story.files
    ]
    return {key: row for key, row in expected_target(deliveries).items() if key != WHO}


def good_lines(path: Path) -> list[str]:
    """The lines with all fields; a short one, which no reader of CSV has a row for, keeps its place as a blank key."""
    lines = path.read_text().splitlines(keepends=True)
    return [line if line.count(",") == HEADER.count(",") else ",,,,,,\n" for line in lines]


def test_nothing_is_left_of_the_person_in_any_file_on_disk(story: Story) -> None:
    assert story.before == set(TABLES), "there is something to erase"
    assert story.old_files == set(TABLES), "readers of old versions keep their files for the table's retention"
    assert counts(story.result) == (1, 1, 1, 4, 2)
    assert story.result["retention"]["target"] == {"files": "interval 1 week", "log": "interval 30 days"}
    assert story.at_once == set()
    quarantine = story.lake.tables / "order_tracking_quarantine"
    assert tables_with(story.lake, f"{WHO}X") == {quarantine.name, "order_tracking_staging"}, (
        "another key, a word of its own"
    )


def test_everybody_else_is_untouched(story: Story) -> None:
    assert others(story.lake) == expected(story)
    assert story.lake.target("tracking_num", "status") == [("T1", "shipped"), ("T2", "received")]
    bad = story.lake.rows("order_tracking_quarantine", "_record, reasons, raw", where="_generation = 2")
    assert [row[:2] for row in bad] == [
        (4, ["last_update_timestamp: not a timestamp"]),
        (6, ["record: wrong number of fields or broken quotes"]),
    ]
    assert '"tracking_num":"T3"' in bad[0][2]
    staged = story.lake.rows(
        "order_tracking_staging", "_generation, _record, tracking_num, _reasons", "1, 2", "_batch_id IN ('b1', 'b2')"
    )
    assert [row for row in staged if row[3] == ["erased"]] == [
        (1, 2, None, ["erased"]),
        *((2, record, None, ["erased"]) for record in (1, 3, 5)),
    ]
    assert len(staged) == 9


def test_the_list_holds_a_hash_that_anybody_can_make_again(story: Story) -> None:
    text = "".join(f"{len(part)}:{part}" for part in ("order_tracking", WHO))
    listed = story.lake.rows("order_tracking_erased", "key_hash, erased_at")
    assert [row[0] for row in listed] == [hashlib.sha256(text.encode()).hexdigest()]
    assert listed[0][1] <= datetime.now(UTC)


def test_no_result_and_no_condition_in_a_log_tells_the_key(story: Story) -> None:
    assert WHO not in json.dumps(story.result)
    commits = [
        json.loads(line)["commitInfo"]
        for table in (*TABLES, "order_tracking_erased")
        for file in (story.lake.tables / table / "_delta_log").glob("*.json")
        for line in file.read_text().splitlines()
        if line.startswith('{"commitInfo"')
    ]
    erasing = [commit for commit in commits if "hash" in commit["operationParameters"].get("predicate", "")]
    assert len(erasing) >= 3
    assert WHO not in json.dumps(erasing)


def test_loading_the_files_again_does_not_bring_the_person_back(story: Story) -> None:
    lake = story.lake
    uri = lake.manifest(*story.files, batch="reload")
    result = stage(lake.spark, uri)
    names = ("rows_read", "rows_staged", "rows_quarantined", "rows_erased")
    assert [tuple(file[name] for name in names) for file in result["files"]] == [(2, 1, 0, 1), (7, 2, 2, 3)]
    assert tuple(result[name] for name in names) == (9, 3, 2, 4)
    assert "erased" not in result["reasons"]
    assert merge(lake.spark, uri)["rows_stale"] == 2
    assert others(lake) == expected(story)
    logged = lake.rows("ingestion_log", ", ".join(names), "object NULLS LAST", "batch_id = 'reload'")
    assert logged == [(2, 1, 0, 1), (7, 2, 2, 3), (9, 3, 2, 4)]
    assert tables_with(lake, STREET) == set()
    # A batch from before the erasure that is merged again finds its rows accounted for.
    assert merge(lake.spark, str(lake.files / "b2.json"))["rows_staged"] >= 0
    assert others(lake) == expected(story)


def test_a_batch_that_was_staged_meanwhile_is_merged_without_the_person(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = story.lake
    lines = (order(WHO, "late", "11:00:00", STREET), order(WHO, "bad", "yesterday"), order("T3", "late", "11:00:00"))
    uri = lake.manifest(lake.orders(*lines, generation=3, name="c.csv"), batch="meanwhile")
    with monkeypatch.context() as looked_before:
        looked_before.setattr(staging, "erased_keys", lambda *_: None)
        assert stage(lake.spark, uri)["rows_staged"] == 2
    assert merge(lake.spark, uri)["rows_inserted"] == 1
    assert lake.target("tracking_num", where="_generation = 3") == [("T3",)]
    assert lake.rows("order_tracking_quarantine", where="_generation = 3") == []
    logged = lake.rows("ingestion_log", "rows_read, rows_staged, rows_erased", where="object = 'source/c.csv'")
    assert logged == [(3, 1, 2)]
    # What its files on disk hold goes with the next run, which needs no list.
    assert tables_with(lake, STREET) == {"order_tracking_staging"}
    files = {table: files_of(lake, table) for table in TABLES}
    assert counts(erase(lake.spark, request(lake))) == (0, 0, 0, 0, 0)
    assert {table: files_of(lake, table) for table in TABLES} == files, "no version has another file for it"
    assert tables_with(lake, STREET) == set()


NASTY = 'O\'Brien "x" \\; DROP TABLE t; -- Ключ \U0001f600'
TYPED: dict[str, Any] = {
    "columns": [
        {"name": "who", "type": "string", "formats": []},
        {"name": "number", "type": "bigint", "formats": [], "thousands_separator": ".", "decimal_separator": ","},
        {"name": "day", "type": "date", "formats": ["dd.MM.yyyy"]},
        {"name": "at", "type": "timestamp", "formats": ["yyyy-MM-dd HH:mm:ss"]},
    ],
    "key": ["who", "number", "day"],
    "order_by": "at",
    "csv": {"delimiter": "|", "multiline": True},
}


@pytest.mark.soak
def test_keys_of_several_columns_with_any_text(lake: Lake, tmp_path: Path) -> None:
    good, bad = "2026-11-20 09:00:00", "yesterday"
    keys = [[NASTY, "1.200", "20.11.2026"], ["two\nlines", "7", "20.11.2026"]]
    kept = [[NASTY, "1201", "20.11.2026"], [NASTY, "1200", "21.11.2026"], ["1200", "1200", "20.11.2026"]]
    rows = [[*key, time] for time in (good, bad) for key in (*keys, *kept)]
    rows += [[*keys[0], good, "one field too many"], [NASTY, "1.2000", "20.11.2026", good, "one field too many"]]
    text = io.StringIO()
    csv.writer(text, delimiter="|").writerows([["who", "number", "day", "at"], *rows])
    file = lake.deliver(text.getvalue(), 1, columns=["who", "number", "day", "at"])
    assert lake.load(file, **TYPED)["rows_inserted"] == 5
    lake.spark.sql(f"DELETE FROM {lake.schema}.order_tracking_staging")  # as upkeep does: quarantine is found by itself
    archive = tmp_path / "archive" / "2026-11-20"
    archive.mkdir(parents=True)
    (archive / "holds it.1.csv").write_text(text.getvalue())
    (archive / "holds it not.2.csv").write_text("who|number|day|at\nsomebody|1.200|20.11.2026|\n")

    lines = (json.dumps(key) for key in keys)
    result = erase(lake.spark, request(lake, *lines, archive=archive.parent, **TYPED))

    assert counts(result) == (2, 2, 2, 0, 3)
    assert [Path(name).name for name in result["archived_files"]] == ["holds it.1.csv"]
    typed_kept = [
        (NASTY, 1200, date(2026, 11, 21)),
        (NASTY, 1201, date(2026, 11, 20)),
        ("1200", 1200, date(2026, 11, 20)),
    ]
    assert sorted(lake.rows("order_tracking", "who, number, day")) == sorted(typed_kept)
    records = lake.rows("order_tracking_quarantine", "_record")
    assert records == [(8,), (9,), (10,), (12,)]


def test_a_list_that_is_none_erases_nothing_and_is_told_by_line(lake: Lake) -> None:
    with pytest.raises(IngestionError, match="line 2, 3 is no key of order_tracking") as told:
        erase(lake.spark, request(lake, "ok-key", '["secret", "secret"]', "[1]"))
    assert "secret" not in str(told.value)
    with pytest.raises(IngestionError, match=r"line 1 is no key of order_tracking .*JSON array"):
        erase(lake.spark, request(lake, "secret", key=["order_num", "tracking_num"]))
    with pytest.raises(IngestionError, match="is empty"):
        erase(lake.spark, request(lake, " "))
    uri = request(lake, "gone")
    Path(json.loads(Path(uri).read_text())["keys"]).unlink()
    with pytest.raises(IngestionError, match="does not exist: upload it"):
        erase(lake.spark, uri)
    assert not lake.exists("order_tracking_erased")


def test_the_entry_erases_of_a_feed_without_tables_and_prints_no_key(
    lake: Lake, spark_remote: SparkRemote, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "a.1.csv").write_bytes(f"{HEADER}\n{order('Müller 5€', 'ok', '09:00:00')}".encode("windows-1252"))
    csv_of = {"delimiter": ",", "multiline": True, "encoding": "windows-1252"}
    uri = request(lake, "Müller 5€", archive=archive, csv=csv_of)
    ended = run(["erase.py"], spark_remote.remote, tmp_path, uri, option="--request")
    assert ended.returncode == 0, ended.stderr
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("INGESTION_RESULT ")]
    result = json.loads(line.removeprefix("INGESTION_RESULT "))
    assert (result["step"], counts(result), result["retention"]) == ("erase", (1, 1, 0, 0, 0), {})
    assert [Path(name).name for name in result["archived_files"]] == ["a.1.csv"]
    assert "ller" not in ended.stdout + ended.stderr
