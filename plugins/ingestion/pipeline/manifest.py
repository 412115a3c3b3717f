"""The manifest: what one batch loads and rejects. Written once by `plan_batch`, read by the jobs and by `archive`."""

import hashlib
import re
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.run_request import RunType

# As short a stem as can be: `a.7.5` is `a.5` of generation 7, for what has no suffix has no dot before its generation.
ARCHIVED = re.compile(r"(?P<stem>.+?)\.(?P<generation>\d+)(?P<suffix>\.[^./]*|)")

MANIFEST = "manifest.json"
REASON = ".reason.json"  # follows the name of a rejected file


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tables(_Frozen):
    """Full names of the tables a batch touches."""

    target: str
    staging: str
    quarantine: str
    log: str


class BatchFile(_Frozen):
    """A file of the batch, by its first identity (object, generation), with its pinned copy and its archive name.

    `columns`, `header` and `header_record` are what `headers.Header` says of it.
    `from_rejected`: where it lay since an earlier batch rejected it, if it did.
    """

    object: str
    generation: int
    date: date
    delivered_at: datetime
    size: int
    crc32c: str
    md5: str | None
    columns: list[str | None]
    header: list[str] | None = None  # as columns in a manifest of version 1
    header_record: int = 0
    input: str
    archive: str
    from_rejected: str | None = None


class RejectedFile(_Frozen):
    """A file that cannot be read as this feed: why, for programs and for people, and where it goes."""

    object: str
    generation: int
    code: str
    reason: str
    to: str
    delivered_at: datetime | None = None  # of batches planned before this was noted


class UnreadableFile(_Frozen):
    """A file that the bucket did not let this batch read. It stays in `source/`."""

    object: str
    generation: int
    reason: str


class Manifest(_Frozen):
    """One batch. `design`: the commit point of `plan_batch`; never changed afterwards."""

    version: Literal[1, 2] = 2
    batch_id: str
    dag_id: str
    run_id: str
    run_type: RunType
    feed: Feed
    tables: Tables
    files: list[BatchFile]
    rejected: list[RejectedFile]
    unreadable: list[UnreadableFile] = []

    @property
    def moves(self) -> list[tuple[str, str]]:
        """Each object that `archive` moves, and where to."""
        return [(file.object, file.archive) for file in self.files] + [(file.object, file.to) for file in self.rejected]


def tables_of(feed: Feed, schema: str) -> Tables:
    """The names of a feed's tables in a schema."""
    base = f"{schema}.{feed.name}"
    return Tables(
        target=base, staging=f"{base}_staging", quarantine=f"{base}_quarantine", log=f"{schema}.ingestion_log"
    )


def new_batch_id(now: datetime, dag_id: str, run_id: str, try_number: int) -> str:
    """Name one execution of `plan_batch`: sortable UTC time plus a short hash of who planned it."""
    return f"{now:%Y%m%dT%H%M%SZ}-{_planned_by(dag_id, run_id, try_number)}"


def is_of_try(batch_id: str, dag_id: str, run_id: str, tries: range) -> bool:
    """Whether one of these tries of this run has planned a batch."""
    return batch_id.rpartition("-")[2] in {_planned_by(dag_id, run_id, number) for number in tries}


def _planned_by(dag_id: str, run_id: str, try_number: int) -> str:
    return hashlib.sha256(f"{dag_id}|{run_id}|{try_number}".encode()).hexdigest()[:8]


def batch_prefix(feed: Feed, batch_id: str) -> str:
    """Where a batch lives in the bucket."""
    return f"batches/{feed.name}/{batch_id}/"


def manifest_name(feed: Feed, batch_id: str) -> str:
    """The object that holds a batch's manifest."""
    return f"{batch_prefix(feed, batch_id)}{MANIFEST}"


def final_name(root: Literal["archive", "rejected"], feed: Feed, day: date, object_name: str, generation: int) -> str:
    """Where a delivered file ends up: unique for each generation, found by feed and date."""
    return f"{root}/{feed.name}/{day:%Y-%m-%d}/{name_with_generation(feed, object_name, generation)}"


def name_with_generation(feed: Feed, object_name: str, generation: int) -> str:
    """The last part of a name that tells apart what was delivered under one name; `first_identity` reads it back."""
    name = PurePosixPath(object_name.removeprefix(feed.prefix))
    return f"{name.stem}.{generation}{name.suffix}"


def first_identity(feed: Feed, archived_name: str) -> tuple[str, int]:
    """The (object, generation) under which an archived file was delivered. Raises ValueError for another name."""
    match = ARCHIVED.fullmatch(PurePosixPath(archived_name).name)
    if match is None:
        raise ValueError(f"{archived_name} carries no generation: it was not archived by this pipeline")
    return f"{feed.prefix}{match['stem']}{match['suffix']}", int(match["generation"])
