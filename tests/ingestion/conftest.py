"""The feed of the mission."""

from pathlib import Path

import pytest

from ingestion.pipeline.environments import ConfiguredFeed
from ingestion.pipeline.feed_files import load_feed
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.settings import Settings
from tests.refusals import Refusals, install

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def feed() -> Feed:
    """The feed of the mission."""
    return load_feed(REPO / "dags/feeds/order_tracking.yaml")


def configured(feed: Feed, told_as: str | None = None, **settings: object) -> ConfiguredFeed:
    """A feed with these settings."""
    return ConfiguredFeed(Path(f"{feed.name}.yaml"), feed, Settings.model_validate(settings), {}, told_as)


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Refusals:
    """Requests that the bucket is to refuse."""
    return install(monkeypatch)
