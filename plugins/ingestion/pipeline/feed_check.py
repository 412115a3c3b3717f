"""Feeds judged as a whole: each by itself, and beside the others."""

from ingestion.pipeline.environments import ConfiguredFeed, Environment, by_bucket
from ingestion.pipeline.overlaps import overlaps


def judge(environment: Environment) -> tuple[list[ConfiguredFeed], list[str]]:
    """The feeds that are right, and every problem of the others, which names its file or both."""
    feeds, problems = list(environment.feeds), list(environment.problems)
    for group in by_bucket(environment.feeds).values():
        for pair, name in overlaps({item.file: item.feed for item in group}).items():
            one, other = pair
            problems.append(
                f"{one.name} and {other.name}: the patterns of both fit {name}, and neither feed takes such a file: "
                "narrow one pattern, orders_(?!returns_).* say is what begins with orders_ and does not go on with "
                "returns_"
            )
            feeds = [item for item in feeds if item.file not in pair]
    return feeds, problems
