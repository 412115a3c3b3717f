"""`merge`: merge a staged batch into the target table."""

from typing import Any

from airflow.sdk import Context

from ingestion.tasks.batch_job import BatchJobOperator

# XCom: the batch that a run on Databricks has really merged, whatever state the task was given by hand.
MERGED_BATCH = "merged_batch"


class MergeBatchOperator(BatchJobOperator):
    """Run the job `merge`. `archive` learns which batch it merged, and who waits for the table how many rows."""

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any] | None:
        """Fail as the run did, or return its counts, which are those of the table's asset event too."""
        counts = super().execute_complete(context, event)
        context["ti"].xcom_push(key=MERGED_BATCH, value=self.batch_id)
        for asset in self.outlets:
            context["outlet_events"][asset].extra.update(counts or {})
        return counts
