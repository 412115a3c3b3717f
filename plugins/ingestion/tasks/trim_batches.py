"""`trim_batches`: remove what old batches have left under `batches/`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk import BaseOperator, Context

from ingestion.pipeline.trimming import trim


class TrimBatchesOperator(BaseOperator):
    """Remove manifests and pinned copies of batches that no task needs any more.

    :param buckets: the buckets that hold them, each with its connection
    :param keep: how long a batch is kept; longer than a run may be tried
    """

    def __init__(self, *, buckets: Mapping[str, str], keep: timedelta, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.buckets = dict(buckets)
        self.keep = keep

    def execute(self, context: Context) -> dict[str, Any]:
        """Trim; returns how many batches were removed, and which of that age were kept, with the reason.

        Raises what went wrong with the first bucket that could not be trimmed, when all others have been.
        """
        removed, kept = 0, {}
        failures: list[Exception] = []
        for name, gcp_conn_id in self.buckets.items():
            try:
                trimmed = trim(GCSHook(gcp_conn_id=gcp_conn_id).get_conn().bucket(name), datetime.now(UTC) - self.keep)
            except Exception as error:  # raised below: the other buckets are trimmed all the same
                self.log.warning("gs://%s could not be trimmed: %r", name, error)
                failures.append(error)
                continue
            for prefix in trimmed.removed:
                self.log.info("Removed gs://%s/%s", name, prefix)
            removed += len(trimmed.removed)
            kept |= {f"gs://{name}/{prefix}": reason for prefix, reason in trimmed.kept.items()}
        for prefix, reason in kept.items():
            self.log.warning("%s stays: %s", prefix, reason)
        if failures:
            raise failures[0]
        return {"removed": removed, "kept": kept}
