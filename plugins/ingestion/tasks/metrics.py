"""The pipeline's own numbers, sent as Airflow sends its metrics: statsd, OpenTelemetry, Datadog or not at all."""

from collections.abc import Mapping
from datetime import timedelta

from airflow.sdk.observability import stats


def count(feed: str, what: str, outcomes: Mapping[str, int]) -> None:
    """Add to the counters `ingestion.<feed>.<what>.<outcome>`."""
    for outcome, number in outcomes.items():
        if number:
            stats.incr(f"ingestion.{feed}.{what}.{outcome}", number)


def took(feed: str, what: str, time: timedelta) -> None:
    """A value of the timer `ingestion.<feed>.<what>`."""
    stats.timing(f"ingestion.{feed}.{what}", time)
