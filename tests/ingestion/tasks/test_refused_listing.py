"""What a person reads when the bucket does not let `detect_new_files` list it."""

from typing import cast
from unittest.mock import Mock

import pytest
from aiohttp import ClientResponseError
from airflow.providers.common.compat.sdk import AirflowException
from google.cloud.storage import Bucket

from ingestion.pipeline.feeds import Feed
from ingestion.tasks.detect_new_files import unreachable
from tests.ingestion.tasks.test_detect_new_files import new_sensor, run_of
from tests.refusals import Refusals

pytestmark = pytest.mark.usefixtures("bucket_environment")


def test_in_a_worker(feed: Feed, bucket: Bucket, refusals: Refusals) -> None:
    refusals.refuse("LIST", "source/", (403, "no storage.objects.list access."))
    with pytest.raises(AirflowException) as raised:
        new_sensor(feed, bucket.name).execute(run_of("manual"))
    assert str(raised.value) == (
        f"gs://{bucket.name}/source/ cannot be listed (403: no storage.objects.list access). "
        "The pipeline's account needs storage.objects.list on the bucket."
    )


def test_in_the_triggerer() -> None:
    error = ClientResponseError(Mock(), (), status=403, message="Forbidden:\n  no access")
    assert unreachable("orders", "source/", "google_north", cast("Exception", error)) == (
        "gs://orders/source/ cannot be listed: 403 Forbidden: no access. The pipeline's account needs "
        "storage.objects.list on the bucket. Check that the bucket exists and is up, "
        "and the connection google_north."
    )
