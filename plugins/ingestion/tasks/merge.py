"""`merge`: merge a staged batch into the target table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Context

from ingestion.pipeline.feeds import Feed
from ingestion.tasks import lineage, metrics
from ingestion.tasks.batch_job import BatchJobOperator

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

# XCom: the batch that a run on Databricks has really merged, whatever state the task was given by hand.
MERGED_BATCH = "merged_batch"
# What becomes of a row.
OUTCOMES = ("inserted", "updated", "stale", "duplicate", "quarantined", "erased")


class MergeBatchOperator(BatchJobOperator):
    """Run the job `merge`. `archive` learns which batch it merged, and who waits for the table how many rows.

    A batch that has changed nothing in the table, as a reload of what is there, sends no asset event. One whose counts
    cannot be read sends one without: whoever waits for the table would otherwise never hear of its rows.

    :param table: full name of the target, which is the asset's name too
    """

    def __init__(self, *, table: str, **kwargs: Any) -> None:
        super().__init__(outlets=[Asset(name=table)], **kwargs)
        self.table = table

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any] | None:
        """Fail as the run did, or return its counts, which are those of the table's asset event too."""
        counts = super().execute_complete(context, event)
        context["ti"].xcom_push(key=MERGED_BATCH, value=self.batch_id)
        if counts:
            metrics.count(self.feed["name"], "rows", {name: counts.get(f"rows_{name}", 0) for name in OUTCOMES})
            if reason := counts.get("without_comments"):
                self.log.warning("The rows are merged, but %s", reason)
        if counts and not changes_table(counts):
            self.log.info("The table is as it was: no asset event")
            # Airflow sends one for each outlet that the task has when it ends, whatever is in `outlet_events`.
            self.outlets = []
        for asset in self.outlets:
            context["outlet_events"][asset].extra.update(asset_event(self.batch_id, counts))
        return counts

    def get_openlineage_facets_on_complete(self, task_instance: object) -> "OperatorLineage":
        """What OpenLineage is told."""
        feed = Feed.model_validate(self.feed)
        return lineage.of_merge(feed, self.bucket, self.table, self._hook.host, self._counts)


def changes_table(counts: Mapping[str, Any]) -> bool:
    """Whether a batch with these counts has written a row."""
    return any(counts.get(name, 1) for name in ("rows_inserted", "rows_updated"))


def asset_event(batch_id: str, counts: Mapping[str, Any] | None) -> dict[str, Any]:
    """The `extra` of the table's asset event: the batch and, if they are known, its files, days and rows."""
    known = {name: value for name, value in (counts or {}).items() if name not in ("step", "without_comments")}
    return {"batch_id": batch_id} | known
