"""Upkeep of real tables: no row changes, whatever is killed, fails or is loaded meanwhile."""

import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ingestion_jobs import conflicts, maintaining, merging, old_batches, upkeep
from ingestion_jobs.erasing import erase
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.maintaining import maintain
from ingestion_jobs.merging import merge
from ingestion_jobs.staging import stage
from tests.conftest import SparkRemote
from tests.spark_jobs.conftest import Lake, order
from tests.spark_jobs.test_entries import run
from tests.spark_jobs.test_erasing import STREET, WHO, forget_at_once, request, tables_with

STAGING, TARGET, QUARANTINE, LOG = (
    "order_tracking_staging",
    "order_tracking",
    "order_tracking_quarantine",
    "ingestion_log",
)
KEEP_DAYS = 30


def maintained(lake: Lake, maintenance_id: str = "m") -> dict[str, Any]:
    return maintain(lake.spark, maintenance_id, [f"{lake.schema}.order_tracking"], KEEP_DAYS)


def rows_of(lake: Lake, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, in an order of their own: a compacted table is read in another."""
    return {table: sorted(lake.rows(table), key=repr) for table in tables}


def files_of(lake: Lake, table: str) -> set[str]:
    """The files of the newest version, as delta-rs sees it."""
    return {Path(uri).name for uri in DeltaTable(str(lake.tables / table)).file_uris()}


def on_disk(lake: Lake, table: str) -> set[str]:
    return {path.name for path in (lake.tables / table).rglob("*.parquet") if "_delta_log" not in path.parts}


def age(lake: Lake, days: int, where: str) -> None:
    """Let rows have been staged so long ago."""
    lake.spark.sql(
        f"UPDATE {lake.schema}.{STAGING} SET _staged_at = current_timestamp() - INTERVAL {days} DAYS WHERE {where}"
    )


def logged(lake: Lake, maintenance_id: str, columns: str) -> dict[str, tuple[Any, ...]]:
    """What the log says of each table."""
    found = lake.rows("ingestion_maintenance", f"table_name, {columns}", where=f"maintenance_id = '{maintenance_id}'")
    return {name.rpartition(".")[2]: tuple(values) for name, *values in found}


def batches(lake: Lake) -> set[str]:
    return {batch for (batch,) in lake.rows(STAGING, "DISTINCT _batch_id")}


def some_loads(lake: Lake, count: int) -> None:
    """Batches that update each other's rows, each with a bad row."""
    for _ in range(count):
        n = next(lake.numbers)
        good = (order("T1", f"load {n}", f"09:{n // 60:02}:{n % 60:02}"), order(f"N{n:03}", "new", "09:00:00"))
        lake.load(lake.orders(*good, order("", "bad", "09:00:00"), generation=n, name=f"{n}.csv"), batch=f"b{n}")


@pytest.mark.soak
def test_few_files_are_left_of_many_and_every_row_until_the_retention_lets_old_ones_go(module_lake: Lake) -> None:
    lake, tables = module_lake, (TARGET, QUARANTINE, LOG, STAGING)
    some_loads(lake, 3)
    before = rows_of(lake, *tables)
    files = {table: files_of(lake, table) for table in tables}
    assert min(map(len, files.values())) > 2
    # A job under way has not committed yet, one that was killed never will.
    long_ago = time.time() - 8 * 24 * 3600
    for name in ("of a killed job.parquet", "of a job under way.parquet"):
        (lake.tables / TARGET / name).write_bytes(b"never committed")
    for name in ("of a killed job.parquet", *files[TARGET]):
        os.utime(lake.tables / TARGET / name, (long_ago, long_ago))
    there = on_disk(lake, TARGET)

    result = maintained(lake, "first")

    assert rows_of(lake, *tables) == before
    after = {table: files_of(lake, table) for table in tables}
    assert after[STAGING] == files[STAGING]
    assert [len(after[table]) for table in (TARGET, QUARANTINE, LOG)] == [1, 1, 1]
    # Whoever reads the version before still can.
    assert on_disk(lake, TARGET) == (there | after[TARGET]) - {"of a killed job.parquet"}
    said = logged(lake, "first", "outcome, message, files_before, files_after, batches_dropped")
    assert said == {table: ("done", None, len(files[table]), len(after[table]), 0) for table in tables} | {
        "ingestion_maintenance": ("done", None, 1, 1, 0)
    }
    assert (result["step"], result["batch_id"], result["tables"], result["gave_way"]) == ("maintain", "first", 5, [])
    assert result["files_before"] == sum(map(len, files.values())) + 1
    assert result["files_after"] == sum(map(len, after.values())) + 1
    # A merge that is done again knows that its rows are there.
    version = lake.version(TARGET)
    assert merge(lake.spark, str(next(lake.files.glob("b*.json"))))["rows_staged"] == 2
    assert lake.version(TARGET) == version

    forget_at_once(lake)
    maintained(lake)
    assert on_disk(lake, TARGET) == after[TARGET]
    assert rows_of(lake, *tables) == before


def marked_files(lake: Lake) -> int:
    """How many files of the target have rows that are only marked as deleted, by the table's own log."""
    is_marked: dict[str, bool] = {}
    for commit in sorted((lake.tables / TARGET / "_delta_log").glob("*.json")):
        entries = [json.loads(line) for line in commit.read_text().splitlines()]
        for removed in (entry["remove"] for entry in entries if "remove" in entry):
            is_marked.pop(removed["path"], None)
        for added in (entry["add"] for entry in entries if "add" in entry):
            is_marked[added["path"]] = bool(added.get("deletionVector"))
    return sum(is_marked.values())


@pytest.mark.soak
def test_rows_that_are_only_marked_are_purged_where_it_pays(module_lake: Lake) -> None:
    lake = module_lake
    lines = (order(f"P{n:02}", "ok", "09:00:00") for n in range(50))
    lake.load(lake.orders(*lines, generation=1, name="purged.csv"))
    maintained(lake)
    for last, left in (("P01", 1), ("P19", 0)):  # of one file that is clustered already: there is nothing to compact
        lake.spark.sql(f"DELETE FROM {lake.schema}.{TARGET} WHERE tracking_num BETWEEN 'P00' AND '{last}'")
        assert marked_files(lake) == 1
        maintained(lake)
        assert marked_files(lake) == left
        assert lake.target("tracking_num", where="tracking_num LIKE 'P%'")[0] > (last,)


@pytest.mark.soak
def test_it_may_be_killed_anywhere_and_run_again(module_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, tables = module_lake, (TARGET, QUARANTINE, LOG)
    some_loads(lake, 2)
    oldest = min(batches(lake))
    age(lake, KEEP_DAYS + 1, f"_batch_id = '{oldest}'")
    before, left = rows_of(lake, *tables), batches(lake) - {oldest}
    for step in ("drop_old_batches", "compact", "vacuum", "_write_log"):
        work = getattr(maintaining, step)

        def work_and_die(*arguments: Any, work: Callable[..., object] = work) -> None:
            work(*arguments)
            raise Killed

        with monkeypatch.context() as killing:
            killing.setattr(maintaining, step, work_and_die)
            with pytest.raises(Killed):
                maintained(lake)
    assert rows_of(lake, *tables) == before
    maintained(lake)
    assert rows_of(lake, *tables) == before
    assert batches(lake) == left
    assert [len(files_of(lake, table)) for table in tables] == [1, 1, 1]


class Killed(BaseException):
    """A process that is killed sees nothing of it: this is what no code catches."""


@pytest.mark.soak
def test_it_gives_way_to_loads_that_are_faster_every_time(module_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = module_lake
    some_loads(lake, 1)
    pauses: list[float] = []
    monkeypatch.setattr(conflicts.time, "sleep", pauses.append)
    compact = maintaining.compact

    def too_late(_: str) -> None:
        raise PySparkException("[DELTA_CONCURRENT_APPEND] T1 was added", errorClass="DELTA_CONCURRENT_APPEND")

    def compacted(spark: SparkSession, table: str) -> bool:
        return compact(SimpleNamespace(sql=too_late) if table.endswith(TARGET) else spark, table)

    monkeypatch.setattr(maintaining, "compact", compacted)
    assert maintained(lake, "met")["gave_way"] == [f"{lake.schema}.{TARGET}"]
    assert len(pauses) == 2
    assert logged(lake, "met", "outcome, message")[TARGET] == ("gave way to loads", None)
    assert len(files_of(lake, QUARANTINE)) == 1


@pytest.mark.soak
def test_databricks_own_work_is_not_done_again_but_staged_rows_still_go(
    module_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = module_lake
    some_loads(lake, 1)
    oldest = min(batches(lake))
    age(lake, KEEP_DAYS + 1, f"_batch_id = '{oldest}'")
    versions = [lake.version(table) for table in (TARGET, QUARANTINE, LOG)]
    with monkeypatch.context() as on_databricks:
        on_databricks.setattr(maintaining, "is_left_to_databricks", lambda *_: True)
        assert maintained(lake)["left_to_databricks"] == 5
    assert [lake.version(table) for table in (TARGET, QUARANTINE, LOG)] == versions
    assert oldest not in batches(lake)

    def refused(*_: object) -> bool:
        raise PySparkException("no privilege")

    monkeypatch.setattr(maintaining, "is_left_to_databricks", refused)
    maintained(lake, "not told")
    said = "it cannot be told whether Databricks looks after it: no privilege"
    assert logged(lake, "not told", "outcome, message")[TARGET] == ("done", said)
    assert len(files_of(lake, TARGET)) == 1


def described(*rows: tuple[str, str]) -> SimpleNamespace:
    """A session that describes a table so."""
    found = [{"col_name": name, "data_type": text} for name, text in rows]
    return SimpleNamespace(sql=lambda _: SimpleNamespace(collect=lambda: found))


@pytest.mark.parametrize(
    ("facts", "is_left"),
    [
        ([("Type", "MANAGED"), ("Predictive Optimization", "ENABLE (inherited from METASTORE main)")], True),
        ([("Type", "MANAGED"), ("Predictive Optimization", "ENABLE")], True),
        ([("Type", "MANAGED"), ("Predictive Optimization", "DISABLE (inherited from CATALOG main)")], False),
        ([("Type", "EXTERNAL"), ("Predictive Optimization", "ENABLE (inherited from CATALOG main)")], False),
        ([("Type", "MANAGED")], False),
    ],
)
def test_where_databricks_optimizes_a_table_is_told_by_the_table(facts: list[tuple[str, str]], is_left: bool) -> None:
    columns = [("tracking_num", "string"), ("Type", "string"), ("", ""), ("# Detailed Table Information", "")]
    assert upkeep.is_left_to_databricks(described(*columns, *facts), "s.t") is is_left


@pytest.mark.soak
def test_merges_go_on_beside_it_and_every_row_is_right(
    module_lake: Lake, spark_remote: SparkRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both want the same file at the same moment, until one of them had to do it again."""
    lake = module_lake
    some_loads(lake, 1)
    expected = dict(lake.target("tracking_num", "status"))
    pauses: list[float] = []
    monkeypatch.setattr(conflicts.time, "sleep", pauses.append)
    start = threading.Barrier(2)
    build, compact = merging.merge_statement, maintaining.compact

    def build_together(*arguments: Any, **named: Any) -> str:
        start.wait(120)
        return build(*arguments, **named)

    def compact_together(spark: SparkSession, table: str) -> bool:
        if table.endswith(TARGET):
            start.wait(120)
        return compact(spark, table)

    monkeypatch.setattr(merging, "merge_statement", build_together)
    monkeypatch.setattr(maintaining, "compact", compact_together)

    def job(work: Callable[[SparkSession], dict[str, Any]]) -> dict[str, Any]:
        session = SparkSession.builder.remote(spark_remote.remote).create()
        try:
            return work(session)
        finally:
            session.stop()

    for _ in range(4):
        n = next(lake.numbers)
        lines = (order("T1", f"load {n}", f"10:{n // 60:02}:{n % 60:02}"), order(f"N{n:03}", "new", "09:00:00"))
        uri = lake.manifest(lake.orders(*lines, generation=n, name=f"{n}.csv"), batch=f"b{n}")
        stage(lake.spark, uri)
        with ThreadPoolExecutor(2) as pool:
            merged = pool.submit(job, lambda spark, uri=uri: merge(spark, uri))
            kept = pool.submit(job, lambda spark: maintain(spark, "m", [f"{lake.schema}.{TARGET}"], KEEP_DAYS))
        assert (merged.result()["rows_inserted"], merged.result()["rows_updated"]) == (1, 1)
        assert kept.result()["tables"] == 5
        expected |= {"T1": f"load {n}", f"N{n:03}": "new"}
        if pauses:
            break
    assert pauses, "the two never met"
    assert lake.target("tracking_num", "status") == sorted(expected.items())


def test_the_entry_maintains_and_returns(module_lake: Lake, spark_remote: SparkRemote, tmp_path: Path) -> None:
    some_loads(module_lake, 1)
    targets = [f"{module_lake.schema}.{feed}" for feed in (TARGET, "not_loaded_yet")]
    arguments = ("m1", "--keep-days", "30", *targets)
    ended = run(["maintain.py"], spark_remote.remote, tmp_path, *arguments, option="--maintenance-id")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("still running\n")
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("INGESTION_RESULT ")]
    result = json.loads(line.removeprefix("INGESTION_RESULT "))
    assert (result["step"], result["batch_id"], result["tables"]) == ("maintain", "m1", 5)
    assert len(files_of(module_lake, TARGET)) == 1


def test_one_table_that_cannot_be_maintained_fails_the_run_when_all_others_are(module_lake: Lake) -> None:
    lake = module_lake  # which no test comes after that needs its quarantine
    some_loads(lake, 1)
    table = f"{lake.schema}.{QUARANTINE}"
    lake.spark.sql(f"DROP TABLE {table}")
    lake.spark.sql(f"CREATE TABLE {table} USING parquet AS SELECT 1 AS n")
    with pytest.raises(IngestionError, match=rf"1 of 5 tables could not be maintained.*\({table}: .*\)$") as told:
        maintained(lake, "failed")
    assert "\n" not in str(told.value)
    assert len(files_of(lake, TARGET)) == len(files_of(lake, LOG)) == 1
    assert {name: outcome for name, (outcome,) in logged(lake, "failed", "outcome").items()} == {
        **dict.fromkeys((STAGING, TARGET, LOG, "ingestion_maintenance"), "done"),
        QUARANTINE: "failed",
    }


# Batch, file and days since it was staged.
STAGED = [
    ("young", "a.csv", "29"),
    ("staged again", "a.csv", "0"),
    ("not merged", "never.csv", "31"),
    ("partly merged", "a.csv", "31"),
    ("partly merged", "never.csv", "31"),
    ("merged by the next one", "b.csv", "31"),
    ("to fill the table anew", "a.csv", "31"),  # its file was merged before it was staged
    ("20260901T000000Z-0a1b2c3d", "a.csv", "NULL"),  # of a version that did not write when
    ("job 4711", "a.csv", "NULL"),
]
# Batch, file and days since it was merged.
MERGED = [
    *((batch, "a.csv", "60") for batch in ("old", "young", "staged again", "partly merged")),
    *((batch, "a.csv", "60") for batch in ("20260901T000000Z-0a1b2c3d", "job 4711")),
    ("the next one", "b.csv", "30"),
]


def values(rows: list[tuple[str, str, str]]) -> str:
    """SQL: the rows, with the time that was so many days ago."""
    listed = ", ".join(f"('{batch}', 'source/{file}', {days})" for batch, file, days in rows)
    time = "current_timestamp() - make_interval(0, 0, 0, days)"
    return f"(SELECT batch, file, {time} AS at FROM (VALUES {listed}) AS v (batch, file, days))"


def test_staged_rows_of_old_merged_batches_go_and_no_others(lake: Lake) -> None:
    lake.load(lake.orders(order("T1", "ok", "09:00:00"), generation=1, name="a.csv"), batch="old")
    uri = str(lake.files / "old.json")
    age(lake, KEEP_DAYS + 1, "true")
    staging, log = f"{lake.schema}.{STAGING}", f"{lake.schema}.{LOG}"
    copies = lake.spark.sql(f"""
        SELECT s.* EXCEPT (_batch_id, _source_file, _staged_at),
            batch AS _batch_id, file AS _source_file, at AS _staged_at
        FROM {staging} AS s CROSS JOIN {values(STAGED)}
    """)
    copies.write.format("delta").mode("append").saveAsTable(staging)
    lake.spark.sql(f"DELETE FROM {log}")
    merges = lake.spark.sql(f"""
        SELECT 'order_tracking' AS feed, batch AS batch_id, file AS object, 1L AS generation, at AS merged_at
        FROM {values(MERGED)}
    """)
    merges.write.format("delta").mode("append").saveAsTable(log)

    result = maintained(lake, "by age")

    waiting = ["not merged", "partly merged", "to fill the table anew"]
    assert batches(lake) == {"young", "staged again", "job 4711", *waiting}
    assert (result["batches_dropped"], result["batches_waiting"]) == (3, 3)
    said = f"not merged, so they stay: {', '.join(waiting)}"
    assert logged(lake, "by age", "batches_dropped, batches_waiting, message")[STAGING] == (3, 3, said)
    # A merge of such a batch that is not done says what to clear, whether the pinned copy is there or not.
    pinned = Path(json.loads(Path(uri).read_text())["files"][0]["input"])
    with pytest.raises(IngestionError, match=r"a\.csv \(generation 1\) has rows, but none was staged.*: clear stage"):
        merge(lake.spark, uri)
    pinned.rename(lake.files / "archived")
    with pytest.raises(IngestionError, match=r"a\.csv .* cannot be read: clear stage, which loads the batch again"):
        merge(lake.spark, uri)
    (lake.files / "archived").rename(pinned)
    stage(lake.spark, uri)
    assert merge(lake.spark, uri)["rows_staged"] == 1


@pytest.mark.soak
def test_a_batch_that_is_staged_again_meanwhile_keeps_its_rows(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.load(lake.orders(order("T1", "ok", "09:00:00"), generation=1, name="a.csv"), batch="old")
    age(lake, KEEP_DAYS + 1, "true")
    drop = old_batches._drop

    def after_it_was_staged(*arguments: Any) -> None:
        stage(lake.spark, str(lake.files / "old.json"))
        drop(*arguments)

    monkeypatch.setattr(old_batches, "_drop", after_it_was_staged)
    maintained(lake)
    assert lake.staged("tracking_num") == [("T1",)]


def test_a_merge_whose_staged_rows_go_meanwhile_is_not_green(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = lake.manifest(lake.orders(order("T1", "ok", "09:00:00"), generation=1), batch="old")
    stage(lake.spark, uri)
    build = merging.merge_statement

    def build_when_they_are_gone(*arguments: Any, **named: Any) -> str:
        lake.spark.sql(f"DELETE FROM {lake.schema}.{STAGING} WHERE _batch_id = 'old'")
        return build(*arguments, **named)

    with monkeypatch.context() as dropping:
        dropping.setattr(merging, "merge_statement", build_when_they_are_gone)
        with pytest.raises(IngestionError, match=r"none was staged.*: clear stage"):
            merge(lake.spark, uri)
    stage(lake.spark, uri)
    assert merge(lake.spark, uri)["rows_inserted"] == 1


@pytest.mark.soak
def test_somebody_who_was_erased_stays_so_and_can_be_erased_after_it(lake: Lake) -> None:
    for n, time_of_day in enumerate(("09:00:00", "10:00:00"), 1):
        lines = (order(WHO, "ok", time_of_day, STREET), order(WHO, "bad", "yesterday", STREET))
        lake.load(lake.orders(*lines, order("T1", "ok", time_of_day), generation=n, name=f"{n}.csv"), batch=f"b{n}")
    age(lake, KEEP_DAYS + 1, "_batch_id = 'b1'")
    maintained(lake)
    result = erase(lake.spark, request(lake, WHO))
    # Of the batch whose staged rows are gone, quarantine is searched by itself.
    assert [result[f"rows_{table}"] for table in ("target", "staging", "quarantine")] == [1, 2, 2]
    assert tables_with(lake, WHO) == {TARGET, STAGING, QUARANTINE}, "within the retention"
    forget_at_once(lake)
    maintained(lake)
    assert tables_with(lake, WHO, STREET) == set()
    assert lake.target("tracking_num") == [("T1",)]
