"""Feed files judged as a whole: each by itself, and beside the others."""

from collections.abc import Iterable
from pathlib import Path

from ingestion.pipeline.feed_files import load_feeds
from ingestion.pipeline.feeds import Feed
from ingestion.pipeline.overlaps import overlaps


def judge(paths: Iterable[Path]) -> tuple[dict[Path, Feed], list[str]]:
    """The feeds of the files that are right, and every problem of the others, which names its file or both."""
    feeds, problems = load_feeds(paths)
    for (one, other), name in overlaps(feeds).items():
        problems.append(
            f"{one.name} and {other.name}: the patterns of both fit {name}, and neither feed takes such a file: "
            "narrow one pattern, orders_(?!returns_).* say is what begins with orders_ and does not go on with returns_"
        )
        feeds = {path: feed for path, feed in feeds.items() if path not in (one, other)}
    return feeds, problems
