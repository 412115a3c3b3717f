"""The JSON schema of a feed's YAML, with which editors complete and check one while it is written.

`make schema` writes it to `dags/feeds/feed.schema.json`. It knows less than `Feed`, which compares settings with each
other too: `airflow ingestion feeds check` has the last word.
"""

import json

from ingestion.pipeline.feed_files import SETTINGS
from ingestion.pipeline.feeds import NOT_IN_YAML, Feed
from ingestion.pipeline.settings import FeedSettings


def feed_schema() -> str:
    """The text of the schema file."""
    schema = Feed.model_json_schema()
    for name in NOT_IN_YAML:
        del schema["properties"][name]
    del schema["$defs"]["OtherFeed"]
    schema["required"] = [name for name in schema["required"] if name not in NOT_IN_YAML]
    schema["description"] = "The definition of a feed; it is named after its file."
    settings = FeedSettings.model_json_schema()
    schema["$defs"] |= settings.pop("$defs")
    for field in settings["properties"].values():
        del field["default"]  # the environment's setting holds
    schema["properties"][SETTINGS] = settings | {"description": "what this feed has in place of the environment's"}
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


if __name__ == "__main__":
    print(feed_schema(), end="")
