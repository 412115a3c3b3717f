"""The tasks of `ingestion_erase`: the request, the Databricks run, and the removal of the list after it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException
from google.cloud.storage import Bucket

from ingestion.pipeline import erasure
from ingestion.pipeline.environments import ConfiguredFeed
from ingestion.pipeline.erasure import Asker, KeyList
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.manifest import new_batch_id
from ingestion.tasks.submit_job import SubmitJobOperator


class PlanErasureOperator(BaseOperator):
    """Write the request of this run's form.

    XComs: `erasure_id`; `request`, its URI; `keys`, name and generation of the list, None without one.

    :param feeds: those that can be asked for; lists, requests and archive are in the bucket of the feed
    """

    def __init__(self, *, feeds: Iterable[ConfiguredFeed], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        feeds = list(feeds)
        self.feeds = {item.feed.name: item.feed.model_dump(mode="json") for item in feeds}
        self.schemas = {item.feed.name: item.settings.schema_name for item in feeds}
        self.buckets = _buckets(feeds)

    def execute(self, context: Context) -> None:
        """Find the list and write the request. Raises AirflowFailException: another try would find no list either."""
        params, ti = context["params"], context["ti"]
        feed = Feed.model_validate(self.feeds[params["feed"]])
        bucket = _bucket(self.buckets[feed.name])
        keys = None
        if not params["finish"]:
            try:
                keys = erasure.find_list(bucket, params["keys"] or erasure.default_list(feed.name))
            except erasure.NoListError as error:
                raise AirflowFailException(str(error)) from error
        erasure_id = new_batch_id(datetime.now(UTC), ti.dag_id, ti.run_id, ti.try_number)
        asker = Asker(erasure_id, ti.dag_id, ti.run_id, self.schemas[feed.name])
        uri = erasure.write_request(bucket, feed, asker, keys, params["search_archive"])
        self.log.info("Request %s: %s", erasure_id, uri)
        ti.xcom_push(key="erasure_id", value=erasure_id)
        ti.xcom_push(key="request", value=uri)
        ti.xcom_push(key="keys", value=keys and [keys.name, keys.generation])


class EraseOperator(SubmitJobOperator):
    """Run the job `erase` where the tables of the feed are.

    :param payloads: of each feed the run, of which the one that the form asks for is templated and submitted
    :param connections: of each feed the connection to Databricks
    """

    def __init__(self, *, payloads: dict[str, dict[str, Any]], connections: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.payloads = payloads
        self.connections = connections

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:  # noqa: ANN401 - as Airflow's
        """Render the fields, the run of this feed among them. Airflow does so at each start of the task."""
        feed = context["params"]["feed"]
        self.json = self.payloads[feed]
        self.databricks_conn_id = self.connections[feed]
        super().render_template_fields(context, jinja_env)


class RemoveListOperator(BaseOperator):
    """Delete the list of keys that the job has read, once it is done.

    :param planned_by: the id of the task that found the list
    :param feeds: those that can be asked for; the list is in the bucket of the feed
    """

    def __init__(self, *, planned_by: str, feeds: Iterable[ConfiguredFeed], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned_by = planned_by
        self.buckets = _buckets(feeds)

    def execute(self, context: Context) -> None:
        """Delete that generation. Raises storage.BucketRefusedError for one that the bucket does not let go."""
        found = context["ti"].xcom_pull(task_ids=self.planned_by, key="keys")
        if not found:
            return
        keys = KeyList(*found)
        if not erasure.remove_list(_bucket(self.buckets[context["params"]["feed"]]), keys):
            self.log.warning("%s was removed or replaced meanwhile: a new list needs a new run", keys.name)


def _buckets(feeds: Iterable[ConfiguredFeed]) -> dict[str, tuple[str, str]]:
    """Of each feed the connection and the name of its bucket."""
    return {item.feed.name: (item.settings.google_connection, item.settings.bucket) for item in feeds}


def _bucket(place: tuple[str, str]) -> Bucket:
    connection, name = place
    return GCSHook(gcp_conn_id=connection).get_conn().bucket(name)
