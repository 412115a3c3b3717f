from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ingestion_jobs import merging
from ingestion_jobs.errors import IngestionError, RefusedError
from ingestion_jobs.merging import merge
from ingestion_jobs.staging import stage
from tests.conftest import SparkRemote
from tests.spark_jobs.conftest import LATER, Lake, new_lake, order

COUNTS = ("rows_staged", "rows_inserted", "rows_updated", "rows_stale", "rows_duplicate")
NO_ROWS = (None, None, None, None)
# There before each test, with a row of 09:00:00. Each is one test's own.
KEYS = ("replayed", "redelivered", "redelivered older", "logged", "killed", "kept")


def counts(result: dict[str, Any]) -> tuple[int, ...]:
    return tuple(result[name] for name in COUNTS)


@pytest.fixture(scope="module")
def loaded(module_lake: Lake) -> Lake:
    """The tables with a first row of each key, made once, as it takes Spark seconds."""
    rows = (order(key, "first", "09:00:00") for key in KEYS)
    module_lake.load(module_lake.orders(*rows, generation=2, name="first.csv"), batch="first")
    return module_lake


def test_the_newest_row_of_each_key_wins(module_lake: Lake) -> None:
    first = module_lake.orders(
        order("T1", "received", "09:00:00"),
        order("T1", "shipped", "09:30:00"),  # newest of T1 in this file
        order("T1", "late", "09:10:00"),
        order("T2", "received", "09:00:00"),
        order(" T2 ", "same key but for blanks", "08:00:00"),
        order("t2", "another key by its case", "09:00:00"),
        generation=1,
        name="newest/a.csv",
    )
    assert counts(module_lake.load(first)) == (6, 3, 0, 0, 3)

    older = module_lake.orders(
        order("T1", "old", "09:29:59"), order("T3", "new", "07:00:00"), generation=2, name="newest/b.csv"
    )
    newer = module_lake.orders(
        order("T2", "shipped", "10:00:00"), order("T3", "newer", "07:00:01"), generation=3, name="newest/c.csv"
    )
    assert counts(module_lake.load(older, newer)) == (4, 1, 1, 1, 1)

    columns = ("tracking_num", "status", "last_update_timestamp", "_source_file", "_generation", "_record")
    assert module_lake.target(*columns, where="_source_file LIKE 'source/newest/%'") == [
        ("T1", "shipped", datetime(2026, 11, 20, 9, 30, tzinfo=UTC), "source/newest/a.csv", 1, 2),
        ("T2", "shipped", datetime(2026, 11, 20, 10, 0, tzinfo=UTC), "source/newest/c.csv", 3, 1),
        ("T3", "newer", datetime(2026, 11, 20, 7, 0, 1, tzinfo=UTC), "source/newest/c.csv", 3, 2),
        ("t2", "another key by its case", datetime(2026, 11, 20, 9, 0, tzinfo=UTC), "source/newest/a.csv", 1, 6),
    ]


def tied_files(lake: Lake, batching: str) -> list[dict[str, Any]]:
    """Files with rows of the same keys and time, in the order of their generations but for the last."""

    def tied(key: str, status: str, time: str = "09:00:00") -> str:
        return order(f"{batching}: {key}", status, time)

    def file(name: str, generation: int, *lines: str, **delivered: str) -> dict[str, Any]:
        return lake.orders(*lines, generation=generation, name=f"{batching}/{name}", **delivered)

    return [
        file("z.csv", 2, *(tied(key, "no") for key in "DGOR")),
        file("a.csv", 3, tied("G", "higher generation"), tied("O", "no")),
        file(
            "b.csv",
            3,
            tied("O", "later object name"),
            tied("R", "no"),
            tied("R", "later record"),
            tied("U", "newer update delivered earlier", "09:00:01"),
        ),
        # Delivered later with a lower generation: GCS promises that generations differ, not that they grow.
        file("a.csv", 1, tied("D", "later delivery"), tied("U", "no"), delivered_at=LATER),
    ]


@pytest.fixture(scope="module")
def ties(module_lake: Lake) -> Lake:
    """The tied files in one batch, in order and in reverse, side by side, each time with keys of their own."""
    together, in_order, in_reverse = (
        tied_files(module_lake, batching) for batching in ("one batch", "in order", "in reverse")
    )
    module_lake.load(*together, in_order[0], in_reverse[3])
    for n in (1, 2, 3):
        module_lake.load(in_order[n], in_reverse[3 - n])
    return module_lake


@pytest.mark.parametrize("batching", ["one batch", "in order", "in reverse"])
def test_ties_are_decided_by_delivery_then_generation_then_object_then_record(ties: Lake, batching: str) -> None:
    assert ties.target("tracking_num", "status", where=f"tracking_num LIKE '{batching}:%'") == [
        (f"{batching}: D", "later delivery"),
        (f"{batching}: G", "higher generation"),
        (f"{batching}: O", "later object name"),
        (f"{batching}: R", "later record"),
        (f"{batching}: U", "newer update delivered earlier"),
    ]


def test_a_replayed_batch_adds_no_version_and_gives_the_same_counts(loaded: Lake) -> None:
    lines = (order("replayed", "newer", "10:00:00"), order("replayed new", "ok", "09:00:00"))
    file = loaded.orders(*lines, generation=3, name="replayed.csv")
    uri = loaded.manifest(file, batch="replayed")
    stage(loaded.spark, uri)
    first = merge(loaded.spark, uri)
    assert counts(first) == (2, 1, 1, 0, 0)
    versions = [loaded.version(table) for table in ("order_tracking", "ingestion_log")]

    assert merge(loaded.spark, uri) == first
    # The same file generation in another batch finds its own rows in the target.
    assert counts(loaded.load(file)) == (2, 0, 0, 2, 0)

    assert loaded.version("order_tracking") == versions[0]
    assert loaded.version("ingestion_log") == versions[1] + 1
    assert loaded.target("tracking_num", "status", "_generation", where="tracking_num LIKE 'replayed%'") == [
        ("replayed", "newer", 3),
        ("replayed new", "ok", 3),
    ]


def test_a_redelivery_wins_its_ties_also_with_a_lower_generation(loaded: Lake) -> None:
    lines = (order("redelivered", "corrected", "09:00:00"), order("redelivered older", "older", "08:00:00"))
    again = loaded.orders(*lines, generation=1, name="first.csv", delivered_at=LATER)
    assert counts(loaded.load(again)) == (2, 0, 1, 1, 0)
    columns = ("tracking_num", "status", "_delivered_at", "_generation")
    assert loaded.target(*columns, where="tracking_num LIKE 'redelivered%'") == [
        ("redelivered", "corrected", datetime(2026, 11, 20, 10, 14, 58, 1, tzinfo=UTC), 1),
        ("redelivered older", "first", datetime(2026, 11, 20, 10, 14, 58, tzinfo=UTC), 2),
    ]


def test_the_log_has_a_row_per_file_and_one_per_batch(loaded: Lake) -> None:
    before = datetime.now(UTC)
    a = loaded.orders(order("logged", "newer", "09:30:00"), order("", "bad", "09:00:00"), generation=2, name="a.csv")
    b = loaded.orders(
        order("logged new", "older", "09:00:00"),
        order("logged new", "newer", "10:00:00"),
        order("logged", "dup", "08:00:00"),
        generation=3,
        name="b.csv",
    )

    loaded.load(a, b, loaded.orders(generation=4, name="empty.csv"), batch="logged")

    names = "feed, object, generation, rows_read, rows_staged, rows_quarantined, rows_inserted, rows_updated, "
    names += "rows_stale, rows_duplicate, dag_run_id"
    of_batch = "batch_id = 'logged'"
    assert loaded.rows("ingestion_log", names, order_by="object NULLS LAST", where=of_batch) == [
        ("order_tracking", "source/a.csv", 2, 2, 1, 1, *NO_ROWS, "run of logged"),
        ("order_tracking", "source/b.csv", 3, 3, 3, 0, *NO_ROWS, "run of logged"),
        ("order_tracking", "source/empty.csv", 4, 0, 0, 0, *NO_ROWS, "run of logged"),
        ("order_tracking", None, None, 5, 4, 1, 1, 1, 0, 2, "run of logged"),
    ]
    ((staged_at, merged_at),) = set(loaded.rows("ingestion_log", "staged_at, merged_at", where=of_batch))
    assert before <= staged_at <= merged_at <= datetime.now(UTC)


def test_a_key_may_have_several_columns(lake: Lake) -> None:
    key = ["order_num", "tracking_num"]
    line = order("T1", "ok", "09:00:00")
    first = lake.orders(line, line.replace("O1", "O2"), line, generation=1)
    assert counts(lake.load(first, key=key)) == (3, 2, 0, 0, 1)
    second = lake.orders(line.replace("O1", "O2"), line.replace("O1", "O3"), generation=2)
    assert counts(lake.load(second, key=key)) == (2, 1, 1, 0, 0)


def test_a_batch_without_tables_is_refused(lake: Lake) -> None:
    uri = lake.manifest(lake.orders(order("T1", "ok", "09:00:00"), generation=1), batch="never")
    with pytest.raises(IngestionError, match="batch never is not staged, its tables do not exist: clear stage"):
        merge(lake.spark, uri)


def test_a_batch_that_is_not_staged_is_refused(loaded: Lake) -> None:
    version = loaded.version("order_tracking")
    lines = [order(f"refused {n}", "ok", "09:00:00") for n in (1, 2, 3)]
    uri = loaded.manifest(loaded.orders(*lines, generation=1, name="refused.csv"), batch="refused")
    with pytest.raises(
        IngestionError, match=r"refused\.csv \(generation 1\) has rows, but none was staged.*clear stage"
    ):
        merge(loaded.spark, uri)

    stage(loaded.spark, uri)
    loaded.spark.sql(f"DELETE FROM {loaded.schema}.order_tracking_staging WHERE _batch_id = 'refused' AND _record = 2")
    with pytest.raises(
        IngestionError, match=r"\(generation 1\): 3 rows read, but 2 staged, 0 quarantined and 0 erased"
    ):
        merge(loaded.spark, uri)
    assert loaded.version("order_tracking") == version


def test_a_batch_whose_bad_rows_are_not_in_quarantine_is_refused(loaded: Lake) -> None:
    lines = (order("quarantined", "ok", "09:00:00"), order("", "bad", "09:00:00"))
    uri = loaded.manifest(loaded.orders(*lines, generation=1, name="quarantined.csv"))
    stage(loaded.spark, uri)
    loaded.spark.sql(f"DELETE FROM {loaded.schema}.order_tracking_quarantine")
    with pytest.raises(IngestionError, match="1 bad rows staged, but 0 in quarantine: clear stage"):
        merge(loaded.spark, uri)
    stage(loaded.spark, uri)
    assert counts(merge(loaded.spark, uri)) == (1, 1, 0, 0, 0)


def test_a_merge_killed_before_its_log_is_healed_with_true_counts(
    loaded: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (order("killed", "x", "10:00:00"), order("killed new", "x", "10:00:00"))
    uri = loaded.manifest(loaded.orders(*lines, generation=1, name="killed.csv"), batch="killed")
    stage(loaded.spark, uri)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(merging, "write_log", killed)
        with pytest.raises(KeyboardInterrupt):
            merge(loaded.spark, uri)
    assert counts(merge(loaded.spark, uri)) == (2, 1, 1, 0, 0)

    of_batch = "batch_id = 'killed' AND object IS NULL"
    assert loaded.rows("ingestion_log", "rows_inserted, rows_updated, rows_stale", where=of_batch) == [(1, 1, 0)]


@pytest.fixture(scope="module")
def merged(
    spark: SparkSession, spark_remote: SparkRemote, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lake, str]:
    """A merged batch, in tables of its own, as other tests could not do with what is lost."""
    lake = new_lake(spark, spark_remote, tmp_path_factory.mktemp("lake"))
    uri = lake.manifest(lake.orders(order("T2", "ok", "09:00:00"), generation=2))
    stage(spark, uri)
    merge(spark, uri)
    return lake, uri


@pytest.mark.parametrize(
    "loss",
    [
        "RESTORE TABLE {target} TO VERSION AS OF 0",
        "DELETE FROM {target} WHERE tracking_num = 'T2'",
        "DROP TABLE {target}",
    ],
)
def test_a_batch_is_merged_again_into_a_target_that_lost_it(merged: tuple[Lake, str], loss: str) -> None:
    lake, uri = merged
    lake.spark.sql(loss.format(target=f"{lake.schema}.order_tracking"))
    assert counts(merge(lake.spark, uri)) == (1, 1, 0, 0, 0)
    assert lake.target("tracking_num") == [("T2",)]


def test_housekeeping_and_later_batches_take_nothing_back(loaded: Lake) -> None:
    loaded.load(loaded.orders(order("kept", "newer", "10:00:00"), generation=1, name="later.csv"))
    loaded.spark.sql(f"OPTIMIZE {loaded.schema}.order_tracking")
    version = loaded.version("order_tracking")
    first = merge(loaded.spark, str(loaded.files / "first.json"))
    assert counts(first) == (len(KEYS), len(KEYS), 0, 0, 0)
    assert loaded.version("order_tracking") == version
    assert loaded.target("status", where="tracking_num = 'kept'") == [("newer",)]


def test_an_attempt_that_comes_late_writes_no_second_log(module_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    file = module_lake.orders(order("late", "ok", "09:00:00"), generation=1, name="late.csv")
    uri = module_lake.manifest(file, batch="overtaken")
    stage(module_lake.spark, uri)
    write_log = merging.write_log

    def overtaken(*arguments: Any) -> None:
        """Another attempt has written the log since this one looked for it."""
        write_log(*arguments)
        write_log(*arguments)

    monkeypatch.setattr(merging, "write_log", overtaken)
    merge(module_lake.spark, uri)
    logged = module_lake.rows("ingestion_log", "object", where="batch_id = 'overtaken'")
    assert logged == [("source/late.csv",), (None,)], "a row for the file and one for the batch"


def test_a_key_that_stands_twice_in_the_target_is_named_until_it_is_gone(lake: Lake) -> None:
    lake.load(lake.orders(order("T1", "new", "09:00:00"), order("T2", "new", "09:00:00"), generation=1))
    target = f"{lake.schema}.order_tracking"
    lake.spark.sql(f"INSERT INTO {target} SELECT * FROM {target} WHERE tracking_num = 'T1'")
    update = lake.manifest(lake.orders(order("T1", "shipped", "10:00:00"), generation=2))
    stage(lake.spark, update)
    for _ in range(2):
        with pytest.raises(RefusedError, match=rf"{target} has more than one row .*tracking_num T1\).*clear merge"):
            merge(lake.spark, update)
    assert len(lake.rows("ingestion_log", where="generation = 2")) == 0
    lake.spark.sql(f"DELETE FROM {target} WHERE tracking_num = 'T1'")
    lake.spark.sql(
        f"INSERT INTO {target} SELECT * EXCEPT (_batch_id, _reasons, _raw, _staged_at) FROM {target}_staging "
        "WHERE _generation = 2"
    )
    merged = merge(lake.spark, update)
    assert (merged["rows_inserted"], merged["rows_updated"], merged["rows_stale"]) == (0, 1, 0)
    assert lake.target("tracking_num", "status") == [("T1", "shipped"), ("T2", "new")]


def test_a_batch_without_files_is_staged_and_merged_at_once(lake: Lake) -> None:
    uri = lake.manifest()
    assert stage(lake.spark, uri)["rows_read"] == 0
    assert counts(merge(lake.spark, uri)) == (0, 0, 0, 0, 0)
    assert not lake.exists("order_tracking"), "nothing to load makes no tables"
