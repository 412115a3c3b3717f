"""The commits that a batch has made to its target, as the target's own history tells them."""

from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from ingestion_jobs.manifest import Manifest
from ingestion_jobs.names import quoted_table

# Enough to find what was committed before its job was killed or repeated, without reading years of history.
_RECENT_COMMITS = 100
_HOUSEKEEPING = {
    *("ADD COLUMNS", "CHANGE COLUMN", "CHANGE COLUMNS", "COMPUTE STATS", "OPTIMIZE", "REORG", "SET TBLPROPERTIES"),
    *("VACUUM END", "VACUUM START"),
}


@dataclass(frozen=True)
class Commits:
    """What the MERGEs of one batch did, and whether the target is sure to hold it still."""

    inserted: int
    updated: int
    still_hold: bool


def commits_of_batch(spark: SparkSession, manifest: Manifest) -> Commits:
    """The MERGEs of the batch among the target's recent commits.

    They still hold if only merges of batches, which take nothing back, and housekeeping came after the last of them: a
    table that was restored, dropped or changed by hand has to be merged into again.
    """
    # The batch id stands in the condition of the MERGE, and that in the commit.
    condition = sf.coalesce(sf.col("operationParameters")["matchedPredicates"], sf.lit(""))
    history = spark.sql(f"DESCRIBE HISTORY {quoted_table(manifest.tables.target)} LIMIT {_RECENT_COMMITS}")
    commits = history.select("version", "operation", condition.alias("condition"), "operationMetrics").collect()
    ours = [commit for commit in commits if manifest.batch_id in commit["condition"]]
    last = max((commit["version"] for commit in ours), default=None)
    later = [commit for commit in commits if last is not None and commit["version"] > last]
    return Commits(
        inserted=sum(int(commit["operationMetrics"]["numTargetRowsInserted"]) for commit in ours),
        updated=sum(int(commit["operationMetrics"]["numTargetRowsUpdated"]) for commit in ours),
        still_hold=bool(ours)
        and all(commit["operation"] in _HOUSEKEEPING or "_batch_id" in commit["condition"] for commit in later),
    )
