"""What people are told of a batch."""

from google.cloud.storage import Bucket

from ingestion.pipeline import messages
from ingestion.pipeline.feeds import Feed
from tests.ingestion.pipeline.batches import NAME, must_plan, put


def test_a_message_names_the_dag_of_its_environment(feed: Feed, bucket: Bucket) -> None:
    """With a prefix of DAG ids, two environments have feeds of one name."""
    put(bucket, NAME, "")
    manifest = must_plan(bucket, feed).model_copy(update={"dag_id": "dev_order_tracking"})
    subjects = (messages.of_rejected(manifest).subject, messages.of_kept(manifest, ["a"]).subject)
    assert subjects == ("dev_order_tracking: 1 file(s) rejected", "dev_order_tracking: 1 object(s) could not be moved")
