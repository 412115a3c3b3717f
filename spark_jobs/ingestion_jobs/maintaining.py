"""The maintain job: the tables of all feeds kept small and quick, beside the loads that go on.

For each feed the staged rows of old batches go, target and quarantine are compacted, and all three vacuumed; once for
each schema so are the logs. A table that cannot be maintained keeps no other from it, and fails the job at its end.
What was done to each table stands in `ingestion_maintenance`. Killed anywhere, it is run again.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ingestion_jobs.conflicts import repeat_on_conflict
from ingestion_jobs.errors import IngestionError
from ingestion_jobs.manifest import Tables
from ingestion_jobs.names import quoted_table
from ingestion_jobs.old_batches import drop_old_batches
from ingestion_jobs.session import settle
from ingestion_jobs.tables import MAINTENANCE, ensure_maintenance_table, table_if_exists
from ingestion_jobs.upkeep import compact, is_left_to_databricks, purge_if_it_pays, size, vacuum

LOG = "ingestion_log"
MAINTENANCE_LOG = "ingestion_maintenance"
DONE, GAVE_WAY, LEFT, FAILED = "done", "gave way to loads", "left to Databricks", "failed"
_LONGEST_NOTE = 500
_SHOWN_BATCHES = 20


@dataclass
class Upkeep:
    """What was done to one table: its fields but `notes`, and `message`, are columns of `ingestion_maintenance`."""

    table_name: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    outcome: str = DONE
    notes: list[str] = field(default_factory=list)
    batches_dropped: int = 0
    batches_waiting: int = 0
    files_before: int | None = None
    bytes_before: int | None = None
    files_after: int | None = None
    bytes_after: int | None = None
    ended_at: datetime | None = None

    @property
    def message(self) -> str | None:
        """All that is to be said of it."""
        return "; ".join(self.notes) or None

    def fail(self, error: Exception) -> None:
        """It could not be maintained."""
        self.outcome = FAILED
        self.notes.append(_first_line(error))


# What is done to a table beside vacuuming it, if that is not left to Databricks; it notes what it did.
Work = Callable[[Upkeep, bool], None]


def maintain(spark: SparkSession, maintenance_id: str, targets: Sequence[str], keep_days: int) -> dict[str, Any]:
    """Maintain the tables of the feeds with these targets, and return counts.

    Staged rows of merged batches go that are older than `keep_days`. Raises IngestionError at the end, when all else is
    done, that names the tables that could not be maintained.
    """
    settle(spark)
    older_than = datetime.now(UTC) - timedelta(days=keep_days)
    compacting = partial(_compact, spark)
    done: list[Upkeep] = []
    for target in targets:
        # As plan_batch names them in every manifest.
        tables = Tables(target, f"{target}_staging", f"{target}_quarantine", f"{_schema(target)}.{LOG}")
        drop = partial(_drop_old_batches, spark, tables, older_than)
        works = {tables.staging: drop, tables.target: compacting, tables.quarantine: compacting}
        done += _maintained(spark, maintenance_id, _schema(target), works)
    for schema in dict.fromkeys(map(_schema, targets)):
        works = {f"{schema}.{name}": compacting for name in (LOG, MAINTENANCE_LOG)}
        done += _maintained(spark, maintenance_id, schema, works)
    if failed := [upkeep for upkeep in done if upkeep.outcome == FAILED]:
        reasons = "; ".join(f"{upkeep.table_name}: {upkeep.message}" for upkeep in failed)
        raise IngestionError(
            f"{len(failed)} of {len(done)} tables could not be maintained, the others were: mend the cause and run it "
            f"again ({reasons})"
        )
    return _result(maintenance_id, done)


def _schema(target: str) -> str:
    return target.rpartition(".")[0]


def _maintained(spark: SparkSession, maintenance_id: str, schema: str, works: dict[str, Work]) -> list[Upkeep]:
    """Those of the tables that there are, with a row in the schema's log for each."""
    done = [upkeep for table, work in works.items() if (upkeep := _maintain(spark, table, work))]
    log = Upkeep(f"{schema}.{MAINTENANCE_LOG}")
    try:
        _write_log(spark, log.table_name, maintenance_id, done)
    except Exception as error:  # whatever it is, the next tables are maintained
        log.fail(error)
        done.append(log)
    return done


def _maintain(spark: SparkSession, table: str, work: Work) -> Upkeep | None:
    """What was done to the table; None if there is none, as before its first load."""
    upkeep = Upkeep(table)
    try:
        if table_if_exists(spark, table) is None:
            return None
        before = size(spark, table)
        is_left = _is_left_to_databricks(spark, upkeep)
        work(upkeep, is_left)
        if is_left:
            upkeep.outcome = LEFT
        else:
            vacuum(spark, table)
        after = size(spark, table)
        upkeep.files_before, upkeep.bytes_before = before.files, before.bytes
        upkeep.files_after, upkeep.bytes_after = after.files, after.bytes
    except Exception as error:  # whatever it is, the next tables are maintained
        upkeep.fail(error)
    upkeep.ended_at = datetime.now(UTC)
    return upkeep


def _is_left_to_databricks(spark: SparkSession, upkeep: Upkeep) -> bool:
    try:
        return is_left_to_databricks(spark, upkeep.table_name)
    except PySparkException as error:  # then it is maintained twice, which costs time and does no harm
        upkeep.notes.append(f"it cannot be told whether Databricks looks after it: {_first_line(error)}")
        return False


def _compact(spark: SparkSession, upkeep: Upkeep, is_left: bool) -> None:
    table = upkeep.table_name
    if not is_left and not (compact(spark, table) and purge_if_it_pays(spark, table)):
        upkeep.outcome = GAVE_WAY


def _drop_old_batches(spark: SparkSession, tables: Tables, older_than: datetime, upkeep: Upkeep, is_left: bool) -> None:
    """Databricks does not do it, whatever it looks after."""
    old = drop_old_batches(spark, tables, older_than)
    upkeep.batches_dropped, upkeep.batches_waiting = old.dropped, len(old.waiting)
    if old.waiting:
        upkeep.notes.append(f"not merged, so they stay: {', '.join(old.waiting[:_SHOWN_BATCHES])}")


def _write_log(spark: SparkSession, log: str, maintenance_id: str, done: Sequence[Upkeep]) -> None:
    if not done:
        return
    ensure_maintenance_table(spark, log)
    shared = {"maintenance_id": maintenance_id}
    rows = [shared | asdict(upkeep) | {"message": upkeep.message} for upkeep in done]
    schema = ", ".join(f"{name} {type_}" for name, type_, _ in MAINTENANCE)
    frame = spark.createDataFrame([tuple(row[name] for name, _, _ in MAINTENANCE) for row in rows], schema).coalesce(1)
    write = frame.write.format("delta").mode("append")
    repeat_on_conflict(f"writing {log}", lambda: write.saveAsTable(quoted_table(log)))


def _result(maintenance_id: str, done: Sequence[Upkeep]) -> dict[str, Any]:
    """Sums over the tables, and of those that were not maintained here as a whole the names."""
    sums = ("batches_dropped", "batches_waiting", "files_before", "files_after", "bytes_before", "bytes_after")
    return {
        "step": "maintain",
        "batch_id": maintenance_id,
        "tables": len(done),
        **{name: sum(getattr(upkeep, name) or 0 for upkeep in done) for name in sums},
        "gave_way": [upkeep.table_name for upkeep in done if upkeep.outcome == GAVE_WAY],
        "left_to_databricks": sum(upkeep.outcome == LEFT for upkeep in done),
    }


def _first_line(error: Exception) -> str:
    """What follows may tell ranges of keys: Delta adds the commit that a statement met."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_LONGEST_NOTE]
