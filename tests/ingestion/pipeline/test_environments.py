"""Which settings a feed has: those of the nearest place that gives them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion.pipeline.environments import Environment, read_environment, settings_for
from ingestion.pipeline.feed_check import judge
from ingestion.pipeline.settings import Settings, SettingsError, given_by_variables, given_in_yaml, settings_of

JOBS = {"INGESTION_JOBS": "/jobs"}
GIT = {"git_url": "https://github.com/example/pipeline", "git_ref": "tag:v1"}
FEED: dict[str, Any] = {
    "description": "Parcels.",
    "columns": [{"name": "id"}, {"name": "at", "type": "date"}],
    "key": ["id"],
    "order_by": "at",
}


def write(folder: Path, settings: object = None, **feeds: object) -> Path:
    """A folder of DAG files with this settings.yaml and these feeds, each by its section `settings`."""
    (folder / "feeds").mkdir(exist_ok=True)
    if settings is not None:
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    for name, its_own in feeds.items():
        feed = FEED | {"pattern": f"{name}_.*"} | ({"settings": its_own} if its_own else {})
        (folder / "feeds" / f"{name}.yaml").write_text(yaml.safe_dump(feed))
    return folder


def buckets(environment: Environment) -> dict[str, str]:
    return {item.feed.name: item.settings.bucket for item in environment.feeds}


def test_what_is_nearer_to_a_feed_wins(tmp_path: Path) -> None:
    folder = write(tmp_path, parcels={}, letters={"bucket": "of-feed"})
    variables = JOBS | {"INGESTION_BUCKET": "of-variables", "INGESTION_POLL_SECONDS": "7"}
    assert buckets(read_environment(folder, JOBS)) == {"letters": "of-feed", "parcels": "orders-data"}
    assert buckets(read_environment(folder, variables)) == {"letters": "of-feed", "parcels": "of-variables"}
    write(tmp_path, {"bucket": "of-folder"})
    environment = read_environment(folder, variables)
    assert buckets(environment) == {"letters": "of-feed", "parcels": "of-folder"}
    assert {item.settings.poll_seconds for item in environment.feeds} == {7}, "of what the nearer ones do not give"
    assert environment.settings is not None
    assert environment.settings.bucket == "of-folder"
    assert [settings_for(folder, variables, name).bucket for name in ("letters", "parcels", "no_feed", None)] == [
        "of-feed",
        "of-folder",
        "of-folder",
        "of-folder",
    ]


def test_whoever_says_where_the_scripts_come_from_says_all_of_it(tmp_path: Path) -> None:
    feeds = {"letters": GIT, "parcels": {"git_ref": "tag:v2"}, "posters": {"jobs": "/own"}, "plain": {}}
    environment = read_environment(write(tmp_path, {"jobs": "/jobs"}, **feeds), {})
    (problem,) = environment.problems
    assert problem == "parcels.yaml: settings: INGESTION_GIT_URL and INGESTION_GIT_REF go together"
    found = {item.feed.name: (item.settings.jobs, item.settings.git_ref) for item in environment.feeds}
    assert found == {"letters": (None, "tag:v1"), "posters": ("/own", None), "plain": ("/jobs", None)}

    write(tmp_path, GIT)
    found = {
        item.feed.name: (item.settings.jobs, item.settings.git_ref) for item in read_environment(tmp_path, JOBS).feeds
    }
    assert found["parcels"] == (None, "tag:v2"), "another tag of the same repository"
    assert found["posters"] == ("/own", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"buket": "x"}, "settings.yaml: buket: Extra inputs are not permitted"),
        ({"bucket": 7}, "settings.yaml: bucket: Input should be a valid string"),
        ({"bucket": ""}, "settings.yaml: bucket: String should have at least 1 character"),
        ({"dag_prefix": "dev/"}, "settings.yaml: dag_prefix: String should match"),
        ({"run_options": {"tags": {}}}, "settings.yaml: run_options.tags: Extra inputs are not permitted"),
        (["bucket"], "settings.yaml: expected a mapping of settings, found list"),
        (GIT | {"jobs": "/jobs"}, "settings.yaml: the scripts come from one place"),
    ],
)
def test_a_wrong_settings_file_names_itself_and_the_key_and_no_feed_is_used(
    tmp_path: Path, content: object, message: str
) -> None:
    environment = read_environment(write(tmp_path, content, parcels={}), JOBS)
    assert (environment.settings, environment.feeds) == (None, [])
    (problem,) = environment.problems
    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"buket": "x"}, "parcels.yaml: settings.buket: Extra inputs are not permitted"),
        ({"schema_name": "x"}, "parcels.yaml: settings.schema_name: Extra inputs are not permitted"),
        ({"schedule": "* * * * *"}, "parcels.yaml: settings.schedule: is for all feeds alike, not for one"),
        ({"compute": "large"}, "parcels.yaml: settings.compute: neither `serverless` nor JSON"),
        ("bucket", "parcels.yaml: settings: expected a mapping of settings, found str"),
        (
            {"alert_channels": [{"notifier": "a.B", "blocks": [{"url": "https://hooks.example.com/S3CRET"}]}]},
            "parcels.yaml: settings.alert_channels.0.blocks: no address and no secret in a file: name a connection",
        ),
        (
            {"alert_channels": [{"notifier": "a.B", "conn_id": "slack", "api_token": "S3CRET"}]},
            "parcels.yaml: settings.alert_channels.0.api_token: no address and no secret in a file",
        ),
    ],
)
def test_a_wrong_section_of_a_feed_names_file_and_key_and_the_others_are_used(
    tmp_path: Path,
    content: dict[str, Any] | str,
    message: str,
) -> None:
    environment = read_environment(write(tmp_path, letters={}, parcels=content), JOBS)
    assert buckets(environment) == {"letters": "orders-data"}
    (problem,) = environment.problems
    assert problem.startswith(message)
    assert "S3CRET" not in problem


def test_a_channel_of_a_file_may_speak_of_an_address() -> None:
    text = "{text}\nSee https://wiki.example.com/feeds"
    channel = {"notifier": "a.B", "slack_webhook_conn_id": "slack", "text": text}
    assert settings_of(
        given_by_variables(JOBS), given_in_yaml({"alert_channels": [channel]}, "settings.yaml: ")
    ).alert_channels


def test_feeds_know_of_others_of_their_bucket_alone(tmp_path: Path) -> None:
    folder = write(tmp_path, orders={}, orders_returns={"bucket": "returns"}, orders_late={"bucket": "orders-data"})
    environment = read_environment(folder, JOBS)
    assert {item.feed.name: [other.name for other in item.feed.others] for item in environment.feeds} == {
        "orders": ["orders_late"],
        "orders_late": ["orders"],
        "orders_returns": [],
    }
    right, (problem,) = judge(environment)
    assert problem.startswith("orders.yaml and orders_late.yaml: the patterns of both fit source/orders_late_")
    assert [item.feed.name for item in right] == ["orders_returns"]


def test_feeds_that_tell_the_same_people_are_told_of_in_one_message(tmp_path: Path) -> None:
    team = {"alert_channels": [{"notifier": "a.B", "conn_id": "team"}]}
    folder = write(tmp_path, {"alert_email": "all@example.com"}, a={}, b=team, c=team, d={"alert_email": ""})
    told_as = {item.feed.name: item.told_as for item in read_environment(folder, JOBS).feeds}
    assert told_as == {"a": None, "b": "b", "c": "b", "d": "d"}


def test_a_prefix_is_before_the_id_of_each_dag_and_is_their_tag() -> None:
    settings = Settings.model_validate({"dag_prefix": "dev_"})
    assert (settings.dag_id("order_tracking"), settings.tags) == ("dev_order_tracking", ["ingestion", "dev"])
    assert (Settings().dag_id("order_tracking"), Settings().tags) == ("order_tracking", ["ingestion"])


def test_an_unknown_variable_breaks_nothing_and_an_unknown_key_does(tmp_path: Path) -> None:
    assert read_environment(write(tmp_path, parcels={}), JOBS | {"INGESTION_BUKET": "x"}).problems == []
    with pytest.raises(SettingsError, match=r"settings\.yaml: buket"):
        settings_for(write(tmp_path, {"buket": "x"}), JOBS, "parcels")
