"""`archive`: move the merged files of the batch, and only those, out of `source/`."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.providers.google.cloud.transfers.gcs_to_gcs import GCSToGCSOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from ingestion import alerts
from ingestion.pipeline import messages
from ingestion.pipeline.archiving import archive
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.manifest import BatchFile, RejectedFile
from ingestion.pipeline.planning import read_manifest
from ingestion.tasks import lineage, metrics

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


class ArchiveFilesOperator(GCSToGCSOperator):
    """A GCSToGCS move by explicit (object, generation, destination), as the manifest lists them.

    The provider's operator lists by prefix, takes `*` for a wildcard and moves whatever generation is there; none of
    that may happen to a file that was not read. So this one keeps its connection and replaces how it moves.

    :param batch_id: of the batch to archive (templated)
    :param merged_batch_id: of the batch that `merge` has merged (templated); empty if it had none
    """

    template_fields = (*GCSToGCSOperator.template_fields, "batch_id", "merged_batch_id")

    def __init__(self, *, feed: Feed, bucket: str, batch_id: str, merged_batch_id: str, **kwargs: Any) -> None:
        super().__init__(source_bucket=bucket, source_object=feed.prefix, destination_bucket=bucket, **kwargs)
        self.feed = feed.model_dump(mode="json")
        self.batch_id = batch_id
        self.merged_batch_id = merged_batch_id

    def execute(self, context: Context) -> list[str]:
        """Archive the batch and return the URIs of what was archived and rejected.

        Raises AirflowFailException, with nothing moved, for a batch with files that `merge` did not merge: the state of
        a task says so only as long as nobody cleared plan_batch alone or marked merge as success.
        """
        hook = GCSHook(gcp_conn_id=self.gcp_conn_id, impersonation_chain=self.impersonation_chain)
        bucket = hook.get_conn().bucket(self.source_bucket)
        manifest = read_manifest(bucket, Feed.model_validate(self.feed), self.batch_id)
        if manifest.files and self.merged_batch_id != self.batch_id:
            raise AirflowFailException(
                f"Batch {self.batch_id} was not merged by this run (merge did batch {self.merged_batch_id or 'none'}), "
                "so nothing was moved: clear stage with all tasks after it."
            )
        left: list[BatchFile | RejectedFile] = []
        kept = archive(bucket, manifest, left.append)
        measure(manifest.feed.name, left)
        if kept:
            # Green, for every row is merged and archived: a red task would load them all again, and pause the DAG.
            message = messages.of_kept(manifest, kept)
            alerts.tell(context, message.subject, message.lines)
        for source, destination in manifest.moves:
            self.log.info("%s -> %s", source, destination)
        return [f"gs://{self.source_bucket}/{destination}" for _, destination in manifest.moves]

    def get_openlineage_facets_on_complete(self, task_instance: object) -> "OperatorLineage":
        """What OpenLineage is told; the provider's operator would tell of what it has moved itself: nothing."""
        return lineage.of_archive(Feed.model_validate(self.feed), self.source_bucket)


def measure(feed: str, left: Collection[BatchFile | RejectedFile]) -> None:
    """Count the files that have left `source/`, each once in its life, and time those that were loaded."""
    loaded = [file for file in left if isinstance(file, BatchFile)]
    metrics.count(feed, "files", {"loaded": len(loaded), "rejected": len(left) - len(loaded)})
    for file in loaded:
        metrics.took(feed, "delivery_to_archive", datetime.now(UTC) - file.delivered_at)
