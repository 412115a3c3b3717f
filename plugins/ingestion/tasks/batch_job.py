"""What `stage` and `merge` have in common: a job on a batch, and what becomes of files that the job refuses."""

from typing import Any

from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk import Context
from google.cloud.storage import Bucket

from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.left_behind import leave_refused
from ingestion.pipeline.manifest import Manifest
from ingestion.pipeline.planning import read_manifest
from ingestion.tasks.submit_job import RefusedError, SubmitJobOperator


class BatchJobOperator(SubmitJobOperator):
    """Run a job on a batch. When the job refuses it, no other try is made, and no live run takes its files.

    They would end there one after the other, each with a Databricks run, until the DAG is paused.

    :param feed: the feed of the batch
    :param bucket: the bucket that holds it
    """

    def __init__(self, *, feed: Feed, bucket: str, gcp_conn_id: str = "google_cloud_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.feed = feed.model_dump(mode="json")
        self.bucket = bucket
        self.gcp_conn_id = gcp_conn_id

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any] | None:
        """Return the counts, or fail as the run did. Raises submit_job.RefusedError once its files are left alone."""
        try:
            return super().execute_complete(context, event)
        except RefusedError as refusal:
            manifest = self._manifest()
            files = [(file.object, file.generation) for file in manifest.files]
            left = leave_refused(self._bucket(), manifest.feed, files, str(refusal))
            self.log.error(
                "Mend the cause and clear this task. Until then no live run takes %s; they all do again when the "
                "feed's YAML is changed, a run is started by hand, or another batch of the feed is merged.",
                ", ".join(left) or "the files of this batch",
            )
            raise

    def _bucket(self) -> Bucket:
        return GCSHook(gcp_conn_id=self.gcp_conn_id).get_conn().bucket(self.bucket)

    def _manifest(self) -> Manifest:
        return read_manifest(self._bucket(), Feed.model_validate(self.feed), self.batch_id)
