"""What people are told of a batch, whoever carries it out and however they are told."""

from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.pipeline.manifest import Manifest


@dataclass(frozen=True)
class Message:
    """One message: its subject, and its text by lines."""

    subject: str
    lines: Sequence[str]


def of_unreadable(manifest: Manifest) -> Message:
    """About the files that the bucket did not let the batch read."""
    files = manifest.unreadable
    stay = (
        f"They stay in {manifest.feed.prefix} and are tried again within the hour, or at once by a run started by hand."
    )
    return Message(f"{manifest.dag_id}: {len(files)} file(s) cannot be read", [*(file.reason for file in files), stay])


def of_rejected(manifest: Manifest) -> Message:
    """About the files of the batch that cannot be read as its feed."""
    lines = [f"{file.object} ({file.code}): {file.reason}" for file in manifest.rejected]
    return Message(f"{manifest.dag_id}: {len(lines)} file(s) rejected", lines)


def of_kept(manifest: Manifest, kept: Sequence[str]) -> Message:
    """About the objects that the bucket did not let `archive` move, a line for each."""
    return Message(f"{manifest.dag_id}: {len(kept)} object(s) could not be moved", kept)
