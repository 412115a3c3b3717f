"""What a run loads, by its kind and its form."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from ingestion.pipeline.run_request import Days, RunRequestError, run_request

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EMPTY = {"reload_from": None, "reload_to": None, "max_files": None, "again_rejected": False}
FIRST, THIRD = date(2026, 11, 1), date(2026, 11, 3)


@pytest.mark.parametrize(
    ("run_type", "params", "days"),
    [
        ("scheduled", EMPTY, None),
        ("manual", EMPTY, None),
        ("manual", {}, None),
        ("asset_triggered", EMPTY, None),
        ("backfill", EMPTY, Days(NOON.date(), NOON.date())),
        ("manual", {"reload_from": "2026-11-01", "reload_to": "2026-11-03"}, Days(FIRST, THIRD)),
        ("manual", {"reload_from": "2026-11-03"}, Days(THIRD, THIRD)),
        ("manual", {"reload_to": "2026-11-03"}, Days(THIRD, THIRD)),
    ],
)
def test_days(run_type: str, params: dict[str, Any], days: Days | None) -> None:
    assert run_request(run_type, NOON, params).days == days


def test_a_manual_run_may_have_no_logical_date() -> None:
    assert run_request("manual", None, {"max_files": 3}).max_files == 3


@pytest.mark.parametrize(
    ("params", "days", "named"),
    [
        ({"again_rejected": True}, None, "all rejected files"),
        ({"again_rejected": True, "reload_from": "2026-11-03"}, Days(THIRD, THIRD), "the rejected files of 2026-11-03"),
    ],
)
def test_rejected_files_are_asked_for_with_or_without_days(
    params: dict[str, Any], days: Days | None, named: str
) -> None:
    request = run_request("manual", NOON, params)
    assert (request.again_rejected, request.reload, request.days, str(request)) == (True, True, days, named)


def test_a_backfill_run_loads_its_day_in_utc() -> None:
    midnight_in_utc_plus_two = datetime(2026, 11, 20, tzinfo=timezone(timedelta(hours=2)))
    assert str(run_request("backfill", midnight_in_utc_plus_two, EMPTY).days) == "2026-11-19"


def test_days_are_both_included() -> None:
    days = Days(FIRST, THIRD)
    assert [day for day in range(1, 30) if date(2026, 11, day) in days] == [1, 2, 3]
    assert str(days) == "2026-11-01 to 2026-11-03"


@pytest.mark.parametrize(
    ("run_type", "params", "message"),
    [
        ("manual", {"reload_from": "2026-11-03", "reload_to": "2026-11-01"}, "reload_from .* is after reload_to"),
        ("manual", {"reload_form": "2026-11-03"}, "reload_form"),
        ("manual", {"reload_from": "3.11.2026"}, "reload_from"),
        ("manual", {"max_files": 0}, "max_files"),
        ("backfill", {"reload_from": "2026-11-03"}, "leave reload_from"),
        ("backfill", {"again_rejected": True}, "leave .* again_rejected"),
        (
            "manual",
            {"again_rejected": True, "max_files": 3},
            "again_rejected takes no max_files: narrow it",
        ),
        ("manual", {"again_rejected": "some"}, "again_rejected"),
    ],
)
def test_a_form_that_means_nothing_is_refused(run_type: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(RunRequestError, match=message):
        run_request(run_type, NOON, params)
