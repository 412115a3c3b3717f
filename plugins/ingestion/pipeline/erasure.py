"""A request to erase keys of a feed: written for the job `erase`, its list of keys removed when the job is done.

The list never leaves its object: not as a parameter of the job, nor into an XCom or a log, which are all kept for long.
"""

from dataclasses import dataclass
from typing import Any, Literal

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict

from ingestion.pipeline import storage
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.manifest import Tables, tables_of

FOLDER = "erase/"
REQUESTS = f"{FOLDER}requests/"
# Spark takes a name that begins with "_" or "." for nothing, and wildcards for a pattern.
LIST_NAME = r"^erase/[A-Za-z0-9][A-Za-z0-9._-]*$"


class NoListError(RuntimeError):
    """A list of keys that is not there. The message names it."""


class Request(BaseModel):
    """What the job `erase` reads. `keys` is the URI of the list, None to finish what earlier requests began."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    erasure_id: str
    dag_id: str
    run_id: str
    feed: Feed
    tables: Tables
    keys: str | None
    archive: str | None


@dataclass(frozen=True)
class KeyList:
    """Exactly one upload of a list."""

    name: str
    generation: int


@dataclass(frozen=True)
class Asker:
    """Whose request it is, and the schema of the tables."""

    erasure_id: str
    dag_id: str
    run_id: str
    schema: str


def default_list(feed_name: str) -> str:
    """The object that holds the list of keys of a feed, if the form names no other."""
    return f"{FOLDER}{feed_name}.txt"


def find_list(bucket: Bucket, name: str) -> KeyList:
    """The list that is there now. Raises NoListError: a run without keys would look like an erasure."""
    found = storage.find(bucket, name)
    if found is None:
        raise NoListError(f"gs://{bucket.name}/{name} does not exist: upload the list of keys, one on each line")
    return KeyList(found.name, found.generation)


def write_request(bucket: Bucket, feed: Feed, asker: Asker, keys: KeyList | None, search_archive: bool) -> str:
    """Write the request, which holds no key, and return its URI."""
    request = Request(
        erasure_id=asker.erasure_id,
        dag_id=asker.dag_id,
        run_id=asker.run_id,
        feed=feed,
        tables=tables_of(feed, asker.schema),
        keys=keys and f"gs://{bucket.name}/{keys.name}",
        archive=f"gs://{bucket.name}/archive/{feed.name}/" if search_archive else None,
    )
    name = f"{REQUESTS}{feed.name}-{asker.erasure_id}.json"
    document: dict[str, Any] = request.model_dump(mode="json")
    storage.write_json(bucket, name, document)
    return f"gs://{bucket.name}/{name}"


def remove_list(bucket: Bucket, keys: KeyList) -> bool:
    """Delete exactly the upload that was read. False when it is gone or replaced: another list is another request."""
    return storage.delete_generation(bucket, keys.name, keys.generation)
