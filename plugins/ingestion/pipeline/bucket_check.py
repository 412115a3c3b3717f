"""Whether the bucket is there, what rules it has, and whether the pipeline may do in it what its tasks do.

Nothing is written but under `batches/`, where it is removed again: an object in `source/` would start a load, and one
in `archive/` could not be deleted. There, requests are made that no object can fulfil. The service looks at the
permission first: without it such a request is refused (403), with it nothing is found (404) or the precondition does
not hold (412). Asked for a list of permissions instead, the service would leave out those with a condition on names.
"""

from collections.abc import Callable, Iterable

from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPICallError, NotFound, PreconditionFailed
from google.cloud.storage import Bucket
from google.cloud.storage.retry import DEFAULT_RETRY

from ingestion.pipeline.findings import Check, Finding, described, fail, ok, skipped, warn
from ingestion.pipeline.storage import reason_of

# Somebody waits for the answer.
_RETRY = DEFAULT_RETRY.with_timeout(10)
# Generations are microseconds of our time.
_NO_GENERATION = 1
BATCHES = "batches/"
# The table of docs/production.md, but for `batches/`, where all of it is tried.
NEEDED = {
    "source/": ("list", "get", "delete"),
    "archive/": ("list", "get", "create"),
    "rejected/": ("list", "get", "create", "delete"),
    "erase/": ("get", "create", "delete"),
}
# Only to erase somebody.
_OPTIONAL = "erase/"
_DAY = 24 * 60 * 60


def reachable(bucket: Bucket) -> Check[bool]:
    """Whether the bucket answers, and may be listed; returns it."""
    name = named(bucket)
    try:
        _list(bucket, BATCHES)
    except NotFound:
        yield fail(name, "it does not exist: create it, or set INGESTION_BUCKET to the one that does")
    except Forbidden as error:
        yield fail(
            name,
            f"it may not be listed, or does not exist ({_said(error)}): give the pipeline's account "
            "storage.objects.list on it, or set INGESTION_BUCKET to the right one",
        )
    except Exception as error:  # whatever lies between: network, proxy, credentials
        yield fail(name, f"it cannot be asked ({described(error)}): see the connection and the network")
    else:
        yield ok(name, "it is there and can be listed")
        return True
    return False


def rules(bucket: Bucket) -> Check[bool]:
    """What the bucket does to objects by itself; returns whether a new object could be deleted again, if known."""
    name = named(bucket)
    try:
        bucket.reload(retry=_RETRY)
    except Forbidden:
        yield skipped(
            f"{name}, its rules",
            "the account may not read them (storage.buckets.get), and needs not: have its owner see by "
            f"`gcloud storage buckets describe gs://{bucket.name}` that there is no retention and no default hold",
        )
        return True
    yield (retention := _retention(bucket))
    yield (hold := _default_hold(bucket))
    yield _versioning(bucket)
    yield _soft_delete(bucket)
    return retention.level == hold.level == "ok"


def _retention(bucket: Bucket) -> Finding:
    name = f"{named(bucket)}, retention"
    if not bucket.retention_period:
        return ok(name, "none")
    return fail(
        name,
        f"{bucket.retention_period} s: until then nothing can be deleted or written anew. Loaded files stay in "
        "source/, pinned copies in batches/, and no note there can change: take the policy off this bucket "
        "(`gcloud storage buckets update --clear-retention-period`), and keep what must be kept by one on a copy",
    )


def _default_hold(bucket: Bucket) -> Finding:
    name = f"{named(bucket)}, default hold"
    if not bucket.default_event_based_hold:
        return ok(name, "none")
    return fail(
        name,
        "every new object gets an event-based hold, and until somebody releases it it cannot be deleted: loaded files "
        "stay in source/. `gcloud storage buckets update --no-default-event-based-hold`, and release the holds there "
        "are",
    )


def _versioning(bucket: Bucket) -> Finding:
    name = f"{named(bucket)}, versioning"
    if not bucket.versioning_enabled:
        return ok(name, "off")
    return warn(
        name,
        "on: it is not needed, as each generation is loaded from a copy. What is overwritten stays as a noncurrent "
        "version and is paid for, and is not found when somebody is erased: turn it off, or add a lifecycle rule on "
        "daysSinceNoncurrentTime",
    )


def _soft_delete(bucket: Bucket) -> Finding:
    name = f"{named(bucket)}, soft delete"
    seconds = int(bucket.soft_delete_policy.retention_duration_seconds or 0)
    if not seconds:
        return ok(name, "off")
    return warn(
        name,
        f"{seconds / _DAY:g} days: pinned copies and loaded files are paid for so long after they are deleted, and a "
        "list of keys to erase can be restored: `gcloud storage buckets update --clear-soft-delete`, or leave it for "
        "safety",
    )


def rights(bucket: Bucket, sources: Iterable[str], check_id: str) -> Check[None]:
    """What may be done under each prefix but `batches/`. `sources`: the prefixes that producers deliver to."""
    needed = dict.fromkeys(sources, NEEDED["source/"]) | {p: n for p, n in NEEDED.items() if p != "source/"}
    for prefix, permissions in needed.items():
        yield from _rights(bucket, prefix, permissions, f"{prefix}ingestion_check-{check_id}")


def _rights(bucket: Bucket, prefix: str, permissions: tuple[str, ...], probe: str) -> Check[None]:
    name = f"{named(bucket)}, {prefix}"
    is_right = True
    for permission in permissions:
        try:
            _ASK[permission](bucket, probe)
        except (NotFound, PreconditionFailed):
            pass
        except (Forbidden, BadRequest) as error:
            is_right = False
            needs = f"storage.objects.{permission} is refused ({_said(error)}): give it to the pipeline's account there"
            if prefix == _OPTIONAL:
                yield warn(name, f"{needs}, for without it nobody can be erased. `get` may want `list` as well")
            else:
                yield fail(name, f"{needs}; docs/production.md lists what each prefix needs")
        except GoogleAPICallError as error:
            is_right = False
            yield fail(name, f"storage.objects.{permission} cannot be tried ({_said(error)}): try again")
    if is_right:
        yield ok(name, f"{', '.join(permissions)} allowed")


def _list(bucket: Bucket, prefix: str) -> None:
    list(bucket.client.list_blobs(bucket, prefix=prefix, max_results=1, retry=_RETRY))


def _get(bucket: Bucket, name: str) -> None:
    bucket.get_blob(name, retry=_RETRY)


def _create(bucket: Bucket, name: str) -> None:
    blob = bucket.blob(name)
    blob.upload_from_string(b"", if_generation_match=_NO_GENERATION, retry=_RETRY)
    # Not where preconditions hold.
    blob.delete(retry=_RETRY)
    raise RuntimeError(f"{name} was written under a precondition that nothing fulfils, and removed again")


def _delete(bucket: Bucket, name: str) -> None:
    bucket.blob(name).delete(if_generation_match=_NO_GENERATION, retry=_RETRY)


_ASK: dict[str, Callable[[Bucket, str], None]] = {"list": _list, "get": _get, "create": _create, "delete": _delete}


def named(bucket: Bucket) -> str:
    """The bucket in the name of a finding."""
    return f"bucket {bucket.name}"


def _said(error: GoogleAPICallError) -> str:
    return f"{error.code}: {reason_of(error)}"
