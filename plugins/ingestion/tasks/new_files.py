"""The files of a feed that are there, for a triggerer: asked for without holding one of its threads."""

from datetime import datetime
from typing import Any

from gcloud.aio.storage import Bucket

from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.intake import loadable
from ingestion.pipeline.left_behind import notes_prefix, settled


async def new_files(bucket: Bucket, feed: Feed) -> list[str]:
    """The names that candidates.new_in_source finds."""
    delivered = {item["name"]: int(item["generation"]) for item in await listed(bucket, feed.prefix)}
    names = loadable(feed, list(delivered))
    if not names:
        return []
    notes = await listed(bucket, notes_prefix(feed))
    done = settled(
        feed, [(note["name"], datetime.fromisoformat(note["timeCreated"])) for note in notes], try_again=False
    )
    return [name for name in names if (name, delivered[name]) not in done]


async def listed(bucket: Bucket, prefix: str) -> list[dict[str, Any]]:
    """The objects directly under a prefix; the client's own `list_blobs` gives names without generations."""
    params = {"prefix": prefix, "delimiter": "/", "pageToken": ""}
    items: list[dict[str, Any]] = []
    while True:
        page = await bucket.storage.list_objects(bucket.name, params=params)
        items += page.get("items", [])
        params["pageToken"] = page.get("nextPageToken", "")
        if not params["pageToken"]:
            return items
