"""What is said of a bucket that has rules or refuses something, and that nothing is left in it."""

import json
import re
from collections.abc import Iterator

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Bucket, Client

from ingestion.pipeline.bucket_check import BATCHES, NEEDED, reachable, rights, rules
from ingestion.pipeline.bucket_probe import Probe
from ingestion.pipeline.findings import Check, Finding
from local.stack.services import PROJECT
from tests.bucket_server import BucketServer
from tests.faults import answers
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Answer, Pass
from tests.ingestion.pipeline.test_privileges import documented

CHECK_ID = "20261128T120000Z-0a1b2c3d"
REFUSED = answers.gcs(403, "etl@example.iam does not have this access to the Google Cloud Storage object.")
# By permission: the request that needs it.
REQUESTS = {
    "list": ("GET", r"/o\?.*prefix={prefix}"),
    "get": ("GET", r"/o/{prefix}"),
    "create": ("POST", r"^/upload/"),
    "delete": ("DELETE", r"/o/{prefix}"),
}


@pytest.fixture(scope="module")
def proxy(bucket_server: BucketServer) -> Iterator[FaultProxy]:
    with FaultProxy(lambda: bucket_server.url).running() as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: FaultProxy, bucket: Bucket) -> Iterator[Bucket]:
    """The empty bucket, as a client sees it through the proxy."""
    endpoint = {"api_endpoint": f"http://127.0.0.1:{proxy.port}"}
    client = Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=endpoint)
    yield client.bucket(bucket.name)
    proxy.heal()


def levels(check: Check[object]) -> dict[str, str]:
    """The level of each finding by its name, without the bucket's."""
    return {finding.name.partition(", ")[2]: finding.level for finding in check}


def names(bucket: Bucket) -> list[str]:
    return [blob.name for blob in bucket.client.list_blobs(bucket)]


def only(check: Check[object]) -> Finding:
    (finding,) = check
    return finding


def value_of(check: Check[bool]) -> bool:
    while True:
        try:
            next(check)
        except StopIteration as end:
            return end.value


def test_a_bucket_that_is_there_is_ok_and_one_that_is_not_says_which_setting(bucket: Bucket) -> None:
    assert only(reachable(bucket)).level == "ok"
    missing = bucket.client.bucket("nothing-of-this-name")
    finding = only(reachable(missing))
    assert (finding.level, finding.name) == ("FAIL", "bucket nothing-of-this-name")
    assert "does not exist" in finding.text
    assert "INGESTION_BUCKET" in finding.text
    assert (value_of(reachable(bucket)), value_of(reachable(missing))) == (True, False)


def test_a_bucket_that_may_not_be_listed_may_as_well_not_exist(proxy: FaultProxy, behind: Bucket) -> None:
    proxy.fail("GET", r"/o\?", REFUSED)
    finding = only(reachable(behind))
    assert finding.level == "FAIL"
    assert "storage.objects.list" in finding.text


def test_what_is_asked_for_under_each_prefix_is_what_is_documented() -> None:
    ours = {(prefix, permission) for prefix, permissions in NEEDED.items() for permission in permissions}
    assert ours == {(prefix, permission) for prefix, permission in documented() if prefix != BATCHES}


def test_all_rights_are_there_and_nothing_is_left(bucket: Bucket) -> None:
    assert levels(rights(bucket, ["source/", "in/returns/"], CHECK_ID)) == {
        "source/": "ok",
        "in/returns/": "ok",
        "archive/": "ok",
        "rejected/": "ok",
        "erase/": "ok",
    }
    assert names(bucket) == []


@pytest.mark.parametrize(("prefix", "permission"), [(p, item) for p, items in NEEDED.items() for item in items])
def test_the_permission_that_is_missing_is_named_with_its_prefix(
    proxy: FaultProxy, behind: Bucket, prefix: str, permission: str
) -> None:
    method, path = REQUESTS[permission]
    # Of an upload the name is in its body: those before this prefix pass.
    passed = [p for p in NEEDED if "create" in NEEDED[p]].index(prefix) if permission == "create" else 0
    proxy.fail(method, path.format(prefix=prefix), *[Pass()] * passed, REFUSED)
    found = [finding for finding in rights(behind, ["source/"], CHECK_ID) if finding.level != "ok"]
    (finding,) = found
    assert finding.name == f"bucket {behind.name}, {prefix}"
    assert finding.level == ("warn" if prefix == "erase/" else "FAIL")
    assert f"storage.objects.{permission} is refused (403: etl@example.iam does not have" in finding.text
    assert names(behind) == []


def bucket_with(**fields: object) -> Answer:
    return Answer(200, json.dumps({"kind": "storage#bucket"} | fields))


RULES = [
    ("retention", "FAIL", {"retentionPolicy": {"retentionPeriod": "86400"}}, "86400 s"),
    ("default hold", "FAIL", {"defaultEventBasedHold": True}, "stay in source/"),
    ("versioning", "warn", {"versioning": {"enabled": True}}, "noncurrent"),
    ("soft delete", "warn", {"softDeletePolicy": {"retentionDurationSeconds": "604800"}}, "7 days"),
]


@pytest.mark.parametrize(("name", "level", "fields", "words"), RULES, ids=[rule[0] for rule in RULES])
def test_a_rule_of_the_bucket_is_told_with_what_it_means(
    proxy: FaultProxy, behind: Bucket, name: str, level: str, fields: dict[str, object], words: str
) -> None:
    path = rf"/b/{behind.name}(\?|$)"
    proxy.fail("GET", path, bucket_with(**fields), bucket_with(**fields))
    found = {finding.name.partition(", ")[2]: finding for finding in rules(behind)}
    assert {key: finding.level for key, finding in found.items()} == dict.fromkeys(
        ("retention", "default hold", "versioning", "soft delete"), "ok"
    ) | {name: level}
    assert words in found[name].text
    assert value_of(rules(behind)) == (level != "FAIL"), "a probe is not written where it would stay"


def test_rules_that_may_not_be_read_are_no_fault(proxy: FaultProxy, behind: Bucket) -> None:
    """The least account has nothing but rights on objects."""
    proxy.fail("GET", rf"/b/{behind.name}(\?|$)", REFUSED)
    finding = only(rules(behind))
    assert finding.level == "skipped"
    assert "storage.buckets.get" in finding.text


def test_the_probe_is_written_read_and_removed(bucket: Bucket) -> None:
    with Probe(bucket, CHECK_ID) as probe:
        tried = only(probe.tried())
        assert CHECK_ID in bucket.blob(probe.name).download_as_text()
        assert probe.uri == f"gs://{bucket.name}/{probe.name}"
        assert probe.name.startswith("batches/")
    assert (tried.level, only(probe.removed()).level) == ("ok", "ok")
    assert names(bucket) == []


def test_what_the_probe_has_overwritten_is_removed_too(proxy: FaultProxy, behind: Bucket) -> None:
    """In a bucket with versioning, which the stand-in does not have, it would stay."""
    with Probe(behind, CHECK_ID) as probe:
        list(probe.tried())
    deleted = {re.sub(r"&.*", "", request.target) for request in proxy.seen("DELETE", f"/o/{BATCHES}")}
    assert len({target for target in deleted if f"/o/{probe.name}?generation=" in target}) == 2


def test_the_probe_is_removed_after_an_interruption(bucket: Bucket) -> None:
    def interrupted() -> None:
        with Probe(bucket, CHECK_ID) as probe:
            list(probe.tried())
            assert names(bucket) != []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(bucket) == []


# What is refused in batches/, and what the finding says.
IN_BATCHES = [
    ("POST", "^/upload/", 0, "storage.objects.create"),
    ("POST", "^/upload/", 1, "storage.objects.delete as well"),
    ("GET", "alt=media", 0, "storage.objects.get"),
    ("GET", r"/o\?", 0, "storage.objects.list"),
    ("POST", "/rewriteTo/", 0, "cannot be copied"),
]


@pytest.mark.parametrize(("method", "path", "passed", "words"), IN_BATCHES, ids=[case[3] for case in IN_BATCHES])
def test_what_is_refused_in_batches_is_told(
    proxy: FaultProxy, behind: Bucket, method: str, path: str, passed: int, words: str
) -> None:
    proxy.fail(method, path, *[Pass()] * passed, REFUSED)
    with Probe(behind, CHECK_ID) as probe:
        finding = only(probe.tried())
    assert (finding.level, finding.name) == ("FAIL", f"bucket {behind.name}, batches/")
    assert words in finding.text
    assert names(behind) == []


def test_a_probe_that_cannot_be_removed_is_named(proxy: FaultProxy, behind: Bucket) -> None:
    proxy.fail("DELETE", "/o/batches/", REFUSED)
    with Probe(behind, CHECK_ID) as probe:
        list(probe.tried())
    finding = only(probe.removed())
    assert (finding.level, finding.name) == ("FAIL", f"bucket {behind.name}, delete in batches/")
    assert "storage.objects.delete" in finding.text
    assert f"remove {probe.uri}" in finding.text
