"""`trim_batches`: remove what old batches have left under `batches/`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk import BaseOperator, Context

from ingestion.pipeline.trimming import trim


class TrimBatchesOperator(BaseOperator):
    """Remove manifests and pinned copies of batches that no task needs any more.

    :param bucket: the bucket that holds them
    :param keep: how long a batch is kept; longer than a run may be tried
    """

    def __init__(
        self, *, bucket: str, keep: timedelta, gcp_conn_id: str = "google_cloud_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.keep = keep
        self.gcp_conn_id = gcp_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Trim; returns how many batches were removed, and which of that age were kept, with the reason."""
        bucket = GCSHook(gcp_conn_id=self.gcp_conn_id).get_conn().bucket(self.bucket)
        trimmed = trim(bucket, datetime.now(UTC) - self.keep)
        for prefix in trimmed.removed:
            self.log.info("Removed gs://%s/%s", self.bucket, prefix)
        for prefix, reason in trimmed.kept.items():
            self.log.warning("gs://%s/%s stays: %s", self.bucket, prefix, reason)
        return {"removed": len(trimmed.removed), "kept": trimmed.kept}
