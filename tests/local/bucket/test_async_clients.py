"""The async clients of deferred tasks against the stand-in: gcloud-aio-storage, and Airflow's hook on top of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponseError, ClientSession
from airflow.providers.google.cloud.hooks.gcs import GCSAsyncHook, GCSHook
from gcloud.aio.storage import Storage
from google.cloud.storage import Bucket

from tests.local.bucket.test_objects import NAME, NAMES, put

GetClient = Callable[[ClientSession], Awaitable[Storage]]


async def stock(session: ClientSession) -> Storage:
    return Storage(session=session)


async def of_airflow(session: ClientSession) -> Storage:
    return await GCSAsyncHook(gcp_conn_id="google_cloud_default").get_storage_client(session)


def ask(get_client: GetClient, question: Callable[[Storage], Awaitable[Any]]) -> Any:  # noqa: ANN401 - as they answer
    async def run() -> object:
        async with ClientSession() as session:
            return await question(await get_client(session))

    return asyncio.run(run())


both = pytest.mark.parametrize("client", [stock, of_airflow], ids=["gcloud-aio", "Airflow hook"])


@both
def test_names_under_a_prefix_are_listed(bucket: Bucket, client: GetClient) -> None:
    for name in [*NAMES, "archive/x.csv"]:
        put(bucket, name)
    listed = ask(client, lambda storage: storage.get_bucket(bucket.name).list_blobs(prefix="source/"))
    assert listed == sorted(NAMES)
    assert ask(client, lambda storage: storage.get_bucket(bucket.name).list_blobs(prefix="nothing/")) == []


@both
@pytest.mark.parametrize("name", NAMES)
def test_metadata_and_content_are_those_the_sync_client_wrote(bucket: Bucket, client: GetClient, name: str) -> None:
    written = put(bucket, name, "abc")
    metadata = ask(client, lambda storage: storage.download_metadata(bucket.name, name))
    assert (metadata["generation"], metadata["crc32c"]) == (str(written.generation), written.crc32c)
    assert (metadata["size"], metadata["md5Hash"]) == ("3", written.md5_hash)
    assert ask(client, lambda storage: storage.download(bucket.name, name)) == b"abc"


@both
def test_what_is_not_there_is_not_found(bucket: Bucket, client: GetClient) -> None:
    with pytest.raises(ClientResponseError, match="404"):
        ask(client, lambda storage: storage.download_metadata(bucket.name, "nothing"))
    with pytest.raises(ClientResponseError, match="404"):
        ask(client, lambda storage: storage.get_bucket("no-such-bucket").list_blobs())


def test_all_pages_of_a_listing_are_read(bucket: Bucket) -> None:
    expected = [put(bucket, f"source/{number}.csv").name for number in range(5)]

    async def pages(storage: Storage) -> list[str]:
        listed, token = [], ""
        while True:
            page = await storage.list_objects(bucket.name, params={"maxResults": 2, "pageToken": token})
            listed += [item["name"] for item in page["items"]]
            if not (token := page.get("nextPageToken", "")):
                return listed

    assert ask(stock, pages) == expected


def test_the_hook_of_undeferred_tasks_lists_the_same(bucket: Bucket) -> None:
    put(bucket)
    assert GCSHook(gcp_conn_id="google_cloud_default").list(bucket.name, prefix="source/") == [NAME]
