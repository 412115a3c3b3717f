"""The entry points of the wheel that the bundle names: `ingestion_plan`, `ingestion_archive` and `ingestion_trim`.

Success is returning and failure is raising: Databricks takes any SystemExit for a failure.
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingestion.native.batch import JobBatch, archive_merged, feed_of, plan
from ingestion.native.bucket import open_bucket
from ingestion.pipeline.run_request import RunRequest, run_request
from ingestion.pipeline.trimming import trim


def plan_batch() -> None:
    """Plan the batch of this job run, or find it planned."""
    parser = _parser("Plan the batch of a job run.")
    parser.add_argument("--feeds", type=Path, required=True, help="folder of the feeds' YAML files")
    parser.add_argument("--schema", required=True, help="catalog.schema of the tables")
    parser.add_argument("--trigger", default="", help="{{job.trigger.type}}")
    parser.add_argument("--reload-from", default="", help="first day to load again, YYYY-MM-DD; empty for new files")
    parser.add_argument("--reload-to", default="", help="last day to load again; empty for one day")
    parser.add_argument("--again-rejected", default="false", help="true to read rejected files anew")
    arguments = parser.parse_args()
    batch = JobBatch.at(arguments.manifest)
    request = requested(arguments.trigger, arguments.reload_from, arguments.reload_to, arguments.again_rejected)
    bucket = open_bucket(batch.bucket, arguments.credential)
    plan(bucket, batch, feed_of(arguments.feeds, batch.feed), arguments.schema, request)


def archive_batch() -> None:
    """Archive the batch of this job run."""
    parser = _parser("Archive the batch of a job run.")
    parser.add_argument("--merged", required=True, help="{{tasks.merge.result_state}}")
    arguments = parser.parse_args()
    batch = JobBatch.at(arguments.manifest)
    archive_merged(open_bucket(batch.bucket, arguments.credential), batch, arguments.merged.lower())


def trim_batches() -> None:
    """Remove what old batches have left under `batches/`."""
    parser = argparse.ArgumentParser(description="Remove what old batches have left.")
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--keep-days", type=int, required=True, help="how long a batch is kept")
    parser.add_argument("--credential", default="", help="service credential of Unity Catalog for the bucket")
    arguments = parser.parse_args()
    bucket = open_bucket(arguments.bucket, arguments.credential)
    trimmed = trim(bucket, datetime.now(UTC) - timedelta(days=arguments.keep_days))
    for prefix in trimmed.removed:
        print(f"Removed gs://{bucket.name}/{prefix}")
    for prefix, reason in trimmed.kept.items():
        print(f"ATTENTION gs://{bucket.name}/{prefix} stays: {reason}")


def requested(trigger: str, reload_from: str, reload_to: str, again_rejected: str) -> RunRequest:
    """What the parameters of a job run ask for; those left empty are not given. Raises RunRequestError.

    A run that somebody started tries files at once that a run by itself would leave for later.
    """
    by_hand = trigger.replace("_", "").lower() == "onetime"
    given = {"reload_from": reload_from, "reload_to": reload_to, "again_rejected": again_rejected}
    return run_request(
        "manual" if by_hand else "scheduled", None, {name: value for name, value in given.items() if value.strip()}
    )


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--manifest", required=True, help="URI of the manifest of the job run's batch")
    parser.add_argument("--credential", default="", help="service credential of Unity Catalog for the bucket")
    return parser
