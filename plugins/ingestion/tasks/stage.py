"""`stage`: load a batch, also one that has been archived since."""

from typing import Any

from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk import Context

from ingestion.archiving import restore_inputs
from ingestion.feeds import Feed
from ingestion.operators.submit_job import SubmitJobOperator
from ingestion.planning import read_manifest


class StageBatchOperator(SubmitJobOperator):
    """Run the job `stage`. Cleared after `archive` has removed the pinned inputs, it takes them from the archive.

    :param feed: the feed of the batch
    :param bucket: the bucket that holds it
    """

    def __init__(self, *, feed: Feed, bucket: str, gcp_conn_id: str = "google_cloud_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.feed = feed.model_dump(mode="json")
        self.bucket = bucket
        self.gcp_conn_id = gcp_conn_id

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Put back what is missing, then submit the job. Raises archiving.ArchiveError for a file that is nowhere."""
        bucket = GCSHook(gcp_conn_id=self.gcp_conn_id).get_conn().bucket(self.bucket)
        restored = restore_inputs(bucket, read_manifest(bucket, Feed.model_validate(self.feed), self.batch_id))
        if restored:
            self.log.info("Put back from the archive: %s", ", ".join(restored))
        return super().execute(context)
