"""The variables of an environment: defaults, and a message that names the wrong one."""

import traceback

import pytest

from ingestion.pipeline.settings import SettingsError, load_settings

JOBS = {"INGESTION_JOBS": "/Workspace/Shared/ingestion/spark_jobs"}
GIT = {"INGESTION_GIT_URL": "https://github.com/example/pipeline", "INGESTION_GIT_REF": "tag:v1.2"}


def test_defaults() -> None:
    settings = load_settings(JOBS | {"PATH": "/bin"})
    assert (settings.bucket, settings.schema_name, settings.compute) == ("orders-data", "orders", {"serverless": True})
    assert (settings.poll_seconds, settings.run_wait_seconds, settings.run_poll_seconds) == (10, 0, 5)


def test_values_are_typed() -> None:
    settings = load_settings(
        GIT | {"INGESTION_POLL_SECONDS": "0.5", "INGESTION_ALERT_EMAIL": "a@example.com, b@example.com"}
    )
    assert settings.poll_seconds == 0.5
    assert settings.alert_email == ["a@example.com", "b@example.com"]


def test_an_unknown_variable_is_warned_of_and_an_empty_one_is_not_set(caplog: pytest.LogCaptureFixture) -> None:
    """As compose and charts pass on what has no value."""
    settings = load_settings(JOBS | {"INGESTION_BUKET": "x", "INGESTION_GIT_URL": "", "INGESTION_POLL_SECONDS": ""})
    assert settings == load_settings(JOBS)
    assert "No setting of the pipeline is called INGESTION_BUKET" in caplog.text


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "set INGESTION_JOBS or INGESTION_GIT_URL"),
        (JOBS | GIT, "the scripts come from one place"),
        ({"INGESTION_GIT_URL": "https://github.com/example/x"}, "INGESTION_GIT_URL and INGESTION_GIT_REF go together"),
        (GIT | {"INGESTION_GIT_REF": "v1"}, "INGESTION_GIT_REF: starts with `tag:`"),
        (JOBS | {"INGESTION_POLL_SECONDS": "soon"}, "INGESTION_POLL_SECONDS: Input should be a valid number"),
        (JOBS | {"INGESTION_RUN_WAIT_SECONDS": "-1"}, "INGESTION_RUN_WAIT_SECONDS: Input should be greater"),
        (JOBS | {"INGESTION_KEEP_DAYS": "6"}, "INGESTION_KEEP_DAYS: Input should be greater than or equal to 7"),
        (
            GIT | {"INGESTION_GIT_URL": "https://git.example.com/x"},
            "set INGESTION_GIT_PROVIDER, gitHubEnterprise say: INGESTION_GIT_URL does not tell it",
        ),
        (JOBS | {"INGESTION_GIT_PROVIDER": "github"}, "INGESTION_GIT_PROVIDER: Input should be 'gitHub', "),
        (JOBS | {"INGESTION_RUN_OPTIONS": "{"}, "INGESTION_RUN_OPTIONS: not JSON"),
        (
            JOBS | {"INGESTION_RUN_OPTIONS": '{"tags": {}}'},
            "INGESTION_RUN_OPTIONS.tags: Extra inputs are not permitted",
        ),
        (
            JOBS | {"INGESTION_RUN_OPTIONS": '{"performance_target": "FAST"}'},
            "INGESTION_RUN_OPTIONS.performance_target: Input should be 'PERFORMANCE_OPTIMIZED' or 'STANDARD'",
        ),
        (
            JOBS | {"INGESTION_RUN_OPTIONS": '{"access_control_list": [{"permission_level": "CAN_VIEW"}]}'},
            "INGESTION_RUN_OPTIONS.access_control_list.0: exactly one of group_name, user_name",
        ),
        (JOBS | {"INGESTION_COMPUTE": "big"}, "INGESTION_COMPUTE: neither `serverless` nor JSON"),
        (JOBS | {"INGESTION_ALERT_CHANNELS": "slack"}, "INGESTION_ALERT_CHANNELS: not JSON"),
        (JOBS | {"INGESTION_ALERT_CHANNELS": '[{"text": "x"}]'}, "INGESTION_ALERT_CHANNELS.0.notifier: Field required"),
        (
            JOBS | {"INGESTION_ALERT_CHANNELS": '[{"notifier": "Slack"}]'},
            "INGESTION_ALERT_CHANNELS.0.notifier: String should match",
        ),
        (JOBS | {"INGESTION_COMPUTE": "{}"}, "INGESTION_COMPUTE: exactly one of"),
        (
            JOBS | {"INGESTION_COMPUTE": '{"new_cluster": {}, "existing_cluster_id": "1"}'},
            "INGESTION_COMPUTE: exactly one of",
        ),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(variables)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "variables",
    [
        JOBS | {"INGESTION_ALERT_CHANNELS": '[{"url": "https://hooks.example.com/S3CRET"}]'},
        JOBS | {"INGESTION_ALERT_CHANNELS": '[{"notifier": "a.B", "url": "https://hooks.example.com/S3CRET"'},
        JOBS | {"INGESTION_COMPUTE": '{"new_cluster": {"spark_env_vars": {"TOKEN": "S3CRET"}}'},
        GIT | {"INGESTION_GIT_URL": "https://S3CRET@github.com/example/pipeline"},
        GIT | {"INGESTION_GIT_URL": "https://github.com/example/pipeline?access_token=S3CRET"},
    ],
)
def test_an_error_of_a_variable_does_not_show_what_may_be_secret(variables: dict[str, str]) -> None:
    """The whole of it, as the import error of a DAG file: Airflow keeps that in its database, for all to see."""
    with pytest.raises(SettingsError) as caught:
        load_settings(variables)
    assert "S3CRET" not in "".join(traceback.format_exception(caught.value))
