"""The tasks of `ingestion_erase` beside the Databricks run: the request before it, the removal of the list after it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from ingestion.pipeline import erasure
from ingestion.pipeline.erasure import Asker, KeyList
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.manifest import new_batch_id


class PlanErasureOperator(BaseOperator):
    """Write the request of this run's form.

    XComs: `erasure_id`; `request`, its URI; `keys`, name and generation of the list, None without one.

    :param feeds: those that can be asked for
    :param bucket: the bucket of lists, requests and archive
    :param schema: the schema of the tables
    """

    def __init__(
        self,
        *,
        feeds: Iterable[Feed],
        bucket: str,
        schema: str,
        gcp_conn_id: str = "google_cloud_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feeds = {feed.name: feed.model_dump(mode="json") for feed in feeds}
        self.bucket = bucket
        self.schema = schema
        self.gcp_conn_id = gcp_conn_id

    def execute(self, context: Context) -> None:
        """Find the list and write the request. Raises AirflowFailException: another try would find no list either."""
        params, ti = context["params"], context["ti"]
        feed = Feed.model_validate(self.feeds[params["feed"]])
        bucket = GCSHook(gcp_conn_id=self.gcp_conn_id).get_conn().bucket(self.bucket)
        keys = None
        if not params["finish"]:
            try:
                keys = erasure.find_list(bucket, params["keys"] or erasure.default_list(feed.name))
            except erasure.NoListError as error:
                raise AirflowFailException(str(error)) from error
        erasure_id = new_batch_id(datetime.now(UTC), ti.dag_id, ti.run_id, ti.try_number)
        asker = Asker(erasure_id, ti.dag_id, ti.run_id, self.schema)
        uri = erasure.write_request(bucket, feed, asker, keys, params["search_archive"])
        self.log.info("Request %s: %s", erasure_id, uri)
        ti.xcom_push(key="erasure_id", value=erasure_id)
        ti.xcom_push(key="request", value=uri)
        ti.xcom_push(key="keys", value=keys and [keys.name, keys.generation])


class RemoveListOperator(BaseOperator):
    """Delete the list of keys that the job has read, once it is done.

    :param planned_by: the id of the task that found the list
    :param bucket: the bucket of the list
    """

    def __init__(
        self, *, planned_by: str, bucket: str, gcp_conn_id: str = "google_cloud_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.planned_by = planned_by
        self.bucket = bucket
        self.gcp_conn_id = gcp_conn_id

    def execute(self, context: Context) -> None:
        """Delete that generation. Raises storage.BucketRefusedError for one that the bucket does not let go."""
        found = context["ti"].xcom_pull(task_ids=self.planned_by, key="keys")
        if not found:
            return
        keys = KeyList(*found)
        bucket = GCSHook(gcp_conn_id=self.gcp_conn_id).get_conn().bucket(self.bucket)
        if not erasure.remove_list(bucket, keys):
            self.log.warning("%s was removed or replaced meanwhile: a new list needs a new run", keys.name)
