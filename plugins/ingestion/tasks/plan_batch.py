"""`plan_batch`: pin the files of this run and write its manifest."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk import BaseBranchOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from ingestion import alerts
from ingestion.pipeline import messages
from ingestion.pipeline.candidates import TooManyFilesError
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.manifest import Manifest, manifest_name, new_batch_id
from ingestion.pipeline.planning import Planner, note_unreadable, plan
from ingestion.pipeline.unpinning import unpin_earlier_tries
from ingestion.runs.trigger_form import request_of


class PlanBatchOperator(BaseBranchOperator):
    """Plan a batch and branch: to `stage` with files, straight to `archive` with rejected ones only, else nowhere.

    XComs: `batch_id`; `manifest`, its URI; `files` and `rejected`, how many of each.
    A live or manual run takes what is in `source/`; a backfill run the files dated on its day, and a manual run asked
    to the files of the days of its form, from the archive and `source/`, or rejected files. Each is green with none.
    People are told of rejected files, and of those that the bucket does not let it read: these are for a later run.
    """

    def __init__(
        self, *, feed: Feed, bucket: str, schema: str, gcp_conn_id: str = "google_cloud_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.feed = feed.model_dump(mode="json")
        self.bucket = bucket
        self.schema = schema
        self.gcp_conn_id = gcp_conn_id

    def choose_branch(self, context: Context) -> str | Iterable[str] | None:
        """Plan, and return the next task's id."""
        feed = Feed.model_validate(self.feed)
        request = request_of(context)
        ti = context["ti"]
        batch_id = new_batch_id(datetime.now(UTC), ti.dag_id, ti.run_id, ti.try_number)
        bucket = GCSHook(gcp_conn_id=self.gcp_conn_id).get_conn().bucket(self.bucket)
        planner = Planner(batch_id, ti.dag_id, ti.run_id, self.schema)
        if ti.try_number > 1:
            removed = unpin_earlier_tries(bucket, feed, planner, range(1, ti.try_number))
            self.log.info("Removed what earlier tries have pinned: %s", removed)
        try:
            manifest = plan(bucket, feed, planner, request)
        except TooManyFilesError as error:
            raise AirflowFailException(str(error)) from error
        if manifest is None:
            self.log.info("In gs://%s is nothing to load of %s", self.bucket, request)
            return None
        if manifest.unreadable:
            # Told before it is noted: a try killed in between tells twice; the other way round, nobody would be told.
            _tell(context, messages.of_unreadable(manifest))
            note_unreadable(bucket, manifest)
        if not manifest.files and not manifest.rejected:
            return None
        uri = f"gs://{self.bucket}/{manifest_name(feed, manifest.batch_id)}"
        self._show(context, manifest, uri)
        return "stage" if manifest.files else "archive"

    def _show(self, context: Context, manifest: Manifest, uri: str) -> None:
        ti = context["ti"]
        counts = {"files": len(manifest.files), "rejected": len(manifest.rejected)}
        for key, value in {"batch_id": manifest.batch_id, "manifest": uri, **counts}.items():
            ti.xcom_push(key=key, value=value)
        self.log.info("Batch %s: %s", manifest.batch_id, uri)
        for file in manifest.files:
            self.log.info("  %s generation %d, %d bytes", file.object, file.generation, file.size)
        if manifest.rejected:
            _tell(context, messages.of_rejected(manifest))


def _tell(context: Context, message: messages.Message) -> None:
    alerts.tell(context, message.subject, message.lines)
