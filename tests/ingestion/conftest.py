"""The feed of the mission."""

from pathlib import Path

import pytest

from ingestion.pipeline.feed_files import load_feed
from ingestion.pipeline.feeds import Feed
from tests.refusals import Refusals, install

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def feed() -> Feed:
    """The feed of the mission."""
    return load_feed(REPO / "dags/feeds/order_tracking.yaml")


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Refusals:
    """Requests that the bucket is to refuse."""
    return install(monkeypatch)
