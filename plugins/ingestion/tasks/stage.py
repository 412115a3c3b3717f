"""`stage`: load a batch, also one that has been archived since."""

from typing import Any

from airflow.sdk import Context

from ingestion import alerts
from ingestion.pipeline.archiving import restore_inputs
from ingestion.pipeline.feeds import Feed
from ingestion.tasks.batch_job import BatchJobOperator


class StageBatchOperator(BatchJobOperator):
    """Run the job `stage`. Cleared after `archive` has removed the pinned inputs, it takes them from the archive.

    People are alerted when more of the batch's rows were quarantined than the feed's `bad_row_share`.
    """

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Put back what is missing, then submit the job. Raises archiving.ArchiveError for a file that is nowhere."""
        restored = restore_inputs(self._bucket(), self._manifest())
        if restored:
            self.log.info("Put back from the archive: %s", ", ".join(restored))
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any] | None:
        """Fail as the run did, or return its counts, and alert people of too many bad rows."""
        counts = super().execute_complete(context, event)
        if counts:
            self._alert_bad_rows(context, counts)
        return counts

    def _alert_bad_rows(self, context: Context, counts: dict[str, Any]) -> None:
        limit = Feed.model_validate(self.feed).bad_row_share
        bad, read = counts.get("rows_quarantined", 0), counts.get("rows_read", 0)
        if read and bad / read > limit:
            reasons = [f"{count} x {reason}" for reason, count in counts.get("reasons", {}).items()]
            subject = f"{self.dag_id}: {bad} of {read} rows quarantined, more than {limit:.1%}"
            alerts.tell(context, subject, [*reasons, f"batch {self.batch_id}"])
