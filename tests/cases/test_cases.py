r"""Cases as folders: what is delivered, and what must be in the tables and in the bucket afterwards.

A new case is a folder, and no code:

    tests/cases/<case>/about.txt        one or two lines: what it shows
    tests/cases/<case>/1/<file>         delivered before the first batch; 2/<file> before the second, and so on.
                                        The same name again is a redelivery
    tests/cases/<case>/2/REPLAY         days (2026-10-01), one a line, each backfilled after the second batch: all files
                                        of the day are loaded again from the archive. No other case may have files of it
    tests/cases/<case>/target.csv       expected rows: the feed's columns, then file, delivery, record
    tests/cases/<case>/quarantine.csv   file, delivery, record, reasons (joined by " | ") and, if wanted, raw
    tests/cases/<case>/rejected.csv     file, delivery, code
    tests/cases/<case>/counts.csv       file, delivery, rows_read, rows_staged, rows_quarantined and, if a replay loads
                                        a file again, loads: how often it is loaded in all
    tests/cases/<case>/feed.yaml        if it needs a feed of its own; its pattern ends in \.csv
    tests/cases/<case>/xfail            if the code is wrong: one line that says how

* `file` is the name in the folder, `delivery` the number of the folder, `record` the place in the file.
* `<anything>.py` in place of `<anything>` is a script that prints the content.
* An expectation that is absent expects nothing: no row, no rejected file, no accepted file. One of them must be there.
* In target.csv an empty field is NULL: no table here holds an empty string. Timestamps are UTC: 2026-11-20 10:00:00.
* A file that is rejected is named in rejected.csv, every other in counts.csv: so each upload is accounted for.
* In the bucket a file's name carries the case: `source/order_tracking_2026_11_20.<case>.csv`.
* Files of one step are uploaded from the last name to the first: time and generation grow as the name falls, so that a
  tie shows which of them decides.
* Keys must differ between the cases of a feed.

All cases are loaded together, batch by batch, with the real code: planned, staged, merged and archived. So each also
shows that the bad files and rows of the others do not disturb it. With CASES_PROFILE in the environment they are loaded
by runs of that profile's workspace, from a bucket of CASES_BUCKET and into a schema of CASES_SCHEMA, both empty.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from google.cloud.storage import Bucket

from ingestion.pipeline.manifest import manifest_name
from tests.cases.engines import Engine
from tests.cases.loading import Suite
from tests.cases.suite import (
    COUNTS,
    Case,
    CaseError,
    Row,
    as_text,
    check_apart,
    differences,
    feeds_of,
    read_cases,
    target_columns,
)

CASES = read_cases()


@pytest.fixture(scope="module")
def suite(engine: Engine, bucket: Bucket) -> Suite:
    """All cases, loaded."""
    feeds = feeds_of(CASES)
    suite = Suite(bucket, engine, {feed.name: feed for feed in feeds})
    try:
        check_apart(CASES, feeds)
        suite.load(CASES)
    except CaseError as error:
        pytest.fail(str(error), pytrace=False)
    return suite


def parameters() -> list[Any]:
    marks = [[pytest.mark.xfail(reason=case.known_fault, strict=True)] if case.known_fault else [] for case in CASES]
    return [pytest.param(case, id=case.name, marks=of_case) for case, of_case in zip(CASES, marks, strict=True)]


@pytest.mark.parametrize("case", parameters())
def test_case(case: Case, suite: Suite) -> None:
    try:
        case.check()
        problems = [*tables(case, suite), *counts(case, suite), *rejections(case, suite), *objects(case, suite)]
    except CaseError as error:
        pytest.fail(str(error), pytrace=False)
    for day in (day for step in range(1, case.steps + 1) for day in case.replays(step)):
        if written := suite.replay_writes[day]:
            problems.append(f"the replay of {day} wrote {written} rows to the target")
    if problems:
        pytest.fail("\n".join([case.about, *problems]), pytrace=False)


def test_nothing_belongs_to_no_case(suite: Suite) -> None:
    names = [name + suffix for name in suite.feeds for suffix in ("", "_quarantine")]
    rows = [row["_source_file"] for name in names for row in suite.rows(name)]
    manifests = [manifest_name(manifest.feed, manifest.batch_id) for manifest in suite.manifests]
    objects = [blob.name for blob in suite.bucket.client.list_blobs(suite.bucket)]
    assert {name for name in rows + objects if not any(case.owns(name) for case in CASES)} == set(manifests)


def test_each_row_says_when_its_file_was_delivered(suite: Suite) -> None:
    """Also the rows of a replay, whose files come from the archive: the time of the upload to source/."""
    names = [name + suffix for name in suite.feeds for suffix in ("", "_staging", "_quarantine")]
    rows = [(name, row) for name in names for row in suite.rows(name)]
    found = {(name, row["_source_file"], row["_generation"], row["_delivered_at"]) for name, row in rows}
    assert found == {(name, *file, suite.delivered_at[tuple(file)]) for name, *file, _ in found}


def tables(case: Case, suite: Suite) -> list[str]:
    """Target and quarantine against target.csv and quarantine.csv."""
    feed = suite.feeds[case.feed_name]
    target = [column.name for column in feed.columns]
    return [
        *differences(
            "target.csv",
            case.expected("target.csv", target_columns(feed)),
            [(*_values(row, target), *_lineage(row, suite)) for row in _of(case, suite.rows(feed.name))],
        ),
        *differences(
            "quarantine.csv",
            case.expected("quarantine.csv", ["file", "delivery", "record", "reasons"], optional="raw"),
            [
                (*_lineage(row, suite), *_values(row, ["reasons", "raw"]))
                for row in _of(case, suite.rows(f"{feed.name}_quarantine"))
            ],
        ),
    ]


def counts(case: Case, suite: Suite) -> list[str]:
    """What stage returned and what merge logged of each load of a file, against counts.csv."""
    stated = case.expected("counts.csv", ["file", "delivery", *COUNTS], optional="loads")
    loads = [row[:5] for row in stated for _ in range(int(dict(row).get("loads", "1")))]
    logged = [row for row in suite.rows("ingestion_log") if row["object"] and row["feed"] == case.feed_name]
    return [
        line
        for name, found in (("stage's result", suite.staged), ("ingestion_log", logged))
        for line in differences(
            f"counts.csv against {name}",
            loads,
            [
                (*suite.named(row["object"], row["generation"]), *_values(row, COUNTS))
                for row in found
                if case.owns(row["object"])
            ],
        )
    ]


def rejections(case: Case, suite: Suite) -> list[str]:
    """The manifests' rejected files against rejected.csv."""
    found = [
        (*suite.named(file.object, file.generation), ("code", file.code))
        for manifest in suite.manifests
        for file in manifest.rejected
        if case.owns(file.object)
    ]
    return differences("rejected.csv", case.expected("rejected.csv", ["file", "delivery", "code"]), found)


def objects(case: Case, suite: Suite) -> list[str]:
    """All objects of the case: nothing in source/, every upload once in archive/ or rejected/, byte for byte."""
    rejected = {row[:2] for row in case.expected("rejected.csv", ["file", "delivery", "code"])}
    expected: dict[str, bytes | None] = {}
    for (name, generation), delivery in suite.generations.items():
        if case.owns(name):
            root = "rejected" if suite.named(name, generation) in rejected else "archive"
            final = f"{root}/ {Path(name).stem}.{generation}.csv"
            expected[final] = delivery.content
            if root == "rejected":
                expected[f"{final}.reason.json"] = None
    blobs = [blob for blob in suite.bucket.client.list_blobs(suite.bucket) if case.owns(blob.name)]
    # Apart from the folders between: they are the feed and the day.
    found = [f"{blob.name.split('/')[0]}/ {Path(blob.name).name}" for blob in blobs]
    return [
        *(f"missing object: {name}" for name in (Counter(expected.keys()) - Counter(found)).elements()),
        *(f"unexpected object: {name}" for name in (Counter(found) - Counter(expected.keys())).elements()),
        *(
            f"{blob.name} is not what was delivered"
            for name, blob in zip(found, blobs, strict=True)
            if (content := expected.get(name)) is not None and blob.download_as_bytes() != content
        ),
    ]


def _of(case: Case, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if case.owns(row["_source_file"])]


def _values(row: dict[str, Any], columns: list[str] | tuple[str, ...]) -> Row:
    return tuple((name, as_text(row[name])) for name in columns)


def _lineage(row: dict[str, Any], suite: Suite) -> Row:
    return (*suite.named(row["_source_file"], row["_generation"]), ("record", str(row["_record"])))
