"""`airflow dags backfill` on a running Airflow: for the pipeline, and for DAGs of another team.

Shares the stack with the other end-to-end tests: the pipeline's DAG stays unpaused, without an active backfill, and
`source/` empty. What must fail, wait or be paused does so in DAGs of this file alone.
"""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.cloud.storage import Bucket

from tests.conftest import Stack
from tests.e2e.airflow_cli import AIRFLOW, SECONDS, Answer, CommandLine, airflow, environment
from tests.e2e.clients import Airflow, wait_for
from tests.e2e.story import names

# A schedule with a time and a time zone of its own; its runs have no data interval to speak of.
TEAM_DAGS = """
import time
from datetime import datetime
from pathlib import Path

import pendulum
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException

BERLIN = pendulum.timezone("Europe/Berlin")

with DAG("team_daily", schedule="30 6 * * *", start_date=datetime(2026, 1, 1, tzinfo=BERLIN), catchup=False):

    @task
    def work(dag_run=None):
        conf = dag_run.conf or {}
        while "until" in conf and not Path(conf["until"]).exists():
            time.sleep(0.1)
        if dag_run.logical_date.strftime("%d") in conf.get("fail", ""):
            raise AirflowFailException("as asked")

    work()

with DAG("team_by_hand", schedule=None):
    pass

with DAG("team_paused", schedule="@daily", start_date=datetime(2026, 1, 1), is_paused_upon_creation=True):
    pass
"""
TEAM = "dags backfill team_daily"


@pytest.fixture(scope="module")
def team(stack: Stack) -> Iterator[Airflow]:
    """The client of another team's DAG."""
    path = stack.dags / "team_dags.py"
    path.write_text(TEAM_DAGS)
    client = Airflow(stack.home, "team_daily")
    wait_for("the team's DAGs", lambda: Airflow(stack.home, "team_paused").exists() and client.exists())
    yield client
    path.unlink()


def active_backfill(client: Airflow) -> dict[str, object] | None:
    """The backfill that is not over, as Airflow's API shows it."""
    found = client._client.get("/backfills", params={"dag_id": client.dag}).raise_for_status().json()["backfills"]
    return next((item for item in found if item["completed_at"] is None), None)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """Runs with it in their conf go on once it exists."""
    path = tmp_path / "gate"
    yield path
    path.touch()  # also when the test has failed: the run would take a worker for ever


def waiting_for(gate: Path) -> str:
    """The conf of runs that go on once it exists, without a blank."""
    return json.dumps({"until": str(gate)}, separators=(",", ":"))


@contextmanager
def started(stack: Stack, team: Airflow, first_day: str, line: str) -> Iterator[subprocess.Popen[str]]:
    """The real executable in the background, once the run of its first day runs."""
    process = subprocess.Popen(
        [AIRFLOW, *line.split()],
        env=environment(stack),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(f"{first_day} runs", lambda: runs_of(team).get(first_day) == "running" or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.communicate()


def runs_of(team: Airflow) -> dict[str, str]:
    return team.backfill_runs("2026-01-01", "2026-11-01")


REFUSED = {
    "dags backfill order_trackin -s 2026-10-03": "no DAG order_trackin that it can read",
    "dags backfill team_paused -s 2026-10-03": "`airflow dags unpause team_paused`",
    "dags backfill team_by_hand -s 2026-10-03": "non-periodic schedule that does not support backfills",
    "dags backfill order_tracking -s 2026-10-04 -e 2026-10-03": "the range is reversed",
    "dags backfill order_tracking -s 3.10.2026": "'3.10.2026' is no date",
    "dags backfill order_tracking": "which days? Give --start-date and --end-date",
    "dags backfill order_tracking -s 2999-01-01": "Backfill cannot be executed for future dates",
    "dags backfill order_tracking -s 2026-10-03 -c {": "--conf: Invalid JSON",
    "dags backfill order_tracking -s 2026-10-03 -c []": "--conf: Input should be a valid dictionary",
    'dags backfill order_tracking -s 2026-10-03 -c {"max_files":0}': "Invalid input for param max_files",
    "dags backfill order_tracking --cancel": "order_tracking has no active backfill to cancel",
}


@pytest.fixture(scope="module")
def command_line(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with CommandLine(stack, tmp_path_factory.mktemp("airflow-cli") / "errors.log") as line:
        yield line


@pytest.fixture(scope="module")
def refusals(command_line: CommandLine, team: Airflow) -> dict[str, Answer]:
    commands = [*REFUSED, "dags list -o plain", "dags --help"]
    return dict(zip(commands, command_line.answers(*commands), strict=True))


@pytest.mark.parametrize("command", REFUSED)
def test_what_cannot_be_started_is_refused_in_one_line(refusals: dict[str, Answer], command: str) -> None:
    answer = refusals[command]
    assert (answer.code, answer.out) == (1, "")
    assert len(answer.err.splitlines()) == 1
    assert REFUSED[command] in answer.err


def test_the_other_commands_are_as_they_were(refusals: dict[str, Answer]) -> None:
    assert refusals["dags list -o plain"].code == 0
    assert "order_tracking" in refusals["dags list -o plain"].out
    listed = refusals["dags --help"].out
    assert all(f"\n    {name}" in listed for name in ("backfill", "list", "pause", "test", "trigger")), listed


def test_the_days_of_the_pipeline_are_loaded_skipped_and_loaded_anew(
    command_line: CommandLine, live_bucket: Bucket, first_run: str
) -> None:
    """The last of two days has a file, which is in the archive and in the table."""
    line = "dags backfill order_tracking -s 2026-11-19 -e 2026-11-20"
    dry, real, again, asked, anew = command_line.answers(
        f"{line} --dry-run",
        f"{line} --run-backwards",
        line,
        f"{line} --reset-dagruns",
        "dags backfill order_tracking -e 2026-11-19 --reset-dagruns -y",
    )
    assert (dry.code, dry.lines[1:]) == (0, ["2026-11-19  new", "2026-11-20  new"])

    assert real.code == 0
    assert "2 days to run, 2026-11-19 to 2026-11-20" in real.lines[0]
    assert real.lines[1].startswith("2026-11-20  success  ")
    assert real.lines[1].endswith("1 file, 0 inserted, 0 updated, 2 stale, 1 duplicate, 2 quarantined")
    assert real.lines[2].startswith("2026-11-19  success  ")
    assert real.lines[2].endswith("nothing to load")
    assert ": 2 succeeded in " in real.lines[3]
    assert len(real.lines) == 4

    assert again.code == 0
    assert again.lines[1:] == [f"2026-11-{day}  left alone: already succeeded" for day in (19, 20)]

    assert (asked.code, asked.out) == (1, "")
    assert "would clear 2 runs and nobody can be asked: add --yes" in asked.err

    assert anew.code == 0
    assert "1 day to run, 2026-11-19" in anew.lines[0]
    assert names(live_bucket, "source/") == []


def test_failed_days_stop_a_backfill_and_the_command_it_names_goes_on(
    stack: Stack, command_line: CommandLine, team: Airflow
) -> None:
    """The last command through the real executable, by the group that needs no patch of Airflow's own."""
    conf = '{"fail":"02,03"}'
    (stopped,) = command_line.answers(f"{TEAM} -s 2026-09-01 -e 2026-09-06 --max-failed-days 2 --conf {conf}")
    assert stopped.code == 1, stopped
    assert [text.split()[2] for text in stopped.lines[1:4]] == ["success", "failed", "failed"], stopped.out
    assert "task work failed, its log: http://" in stopped.lines[2]
    assert "Stopped after 2 failed days" in stopped.out
    # The day after the second failed one may have started before anybody could know.
    assert " succeeded, 2 failed (2026-09-02 06:30, 2026-09-03 06:30), " in stopped.lines[-2]
    assert "2026-09-06 06:30) in " in stopped.lines[-2]
    assert "the same command with --rerun-failed-tasks" in stopped.lines[-1]
    assert runs_of(team)["2026-09-06"] == "failed"
    assert active_backfill(team) is None

    left, rest = command_line.answers(f"{TEAM} -s 2026-09-01 -e 2026-09-06 -n", f"{TEAM} -s 2026-09-02 -e 2026-09-03")
    assert left.lines[1] == "2026-09-01 06:30  left alone: already succeeded"
    assert left.lines[2] == "2026-09-02 06:30  left alone: failed earlier, needs --rerun-failed-tasks"
    assert (rest.code, rest.lines[1:]) == (1, left.lines[2:4])

    other_group = TEAM.replace("dags", "ingestion")
    again = airflow(stack, *f"{other_group} -s 2026-09-01 -e 2026-09-06 --rerun-failed-tasks -c {{}}".split())
    assert again.code == 0, again
    assert again.lines[1] == "2026-09-01 06:30  left alone: already succeeded"
    assert list(team.backfill_runs("2026-09-01", "2026-09-07").values()) == ["success"] * 6


def test_an_interrupted_backfill_waits_and_the_same_command_ends_it(
    stack: Stack, command_line: CommandLine, team: Airflow, gate: Path
) -> None:
    line = f"{TEAM} -s 2026-08-01 -e 2026-08-02 -c {waiting_for(gate)}"
    with started(stack, team, "2026-08-01", line) as process:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 130, said
    assert "2026-08-01 06:30 runs to its end" in said
    assert "The same command goes on with it, `airflow dags backfill team_daily --cancel` gives it up." in said
    assert active_backfill(team)["is_paused"]

    other, unfit, dry = command_line.answers(
        f"{TEAM} -s 2026-07-01", f"{TEAM} -s 2026-08-01 -e 2026-08-02", f"{TEAM} -s 2026-08-01 -n"
    )
    for refused in (other, unfit):
        assert refused.code == 1
        assert "(2026-08-01 to 2026-08-02, none reprocessed, 1 at a time) is not over" in refused.err
    assert dry.code == 0
    assert "2026-08-01 06:30  left alone: is running now" in dry.lines

    gate.touch()
    (resumed,) = command_line.answers(line)
    assert resumed.code == 0, resumed
    # The first day goes on since the gate is open, and may have ended before the command looks.
    assert re.search(r" goes on: (2 days|1 day) to run, 2026-08-01 to 2026-08-02$", resumed.lines[0]), resumed
    assert [text.split()[0] for text in resumed.lines[1:3]] == ["2026-08-01", "2026-08-02"]
    assert ": 2 succeeded in " in resumed.lines[-1]


def test_a_dag_paused_meanwhile_is_said_and_the_backfill_can_be_given_up(
    stack: Stack, command_line: CommandLine, team: Airflow, gate: Path
) -> None:
    line = f"{TEAM} -s 2026-06-01 -e 2026-06-03 -c {waiting_for(gate)}"
    with started(stack, team, "2026-06-01", line) as process:
        team._client.patch("/dags/team_daily", json={"is_paused": True}).raise_for_status()
        said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 1, said
    assert "`airflow dags unpause team_daily`" in said
    (cancelled,) = command_line.answers(f"{TEAM} --cancel")
    assert cancelled.code == 0
    assert "is given up: 2 days not started; 2026-06-01 06:30 runs to its end." in cancelled.out
    assert active_backfill(team) is None
    gate.touch()
    team.unpause()
    wait_for("the running day ended", lambda: runs_of(team)["2026-06-01"] == "success")


def test_without_a_scheduler_nothing_is_started(stack: Stack, team: Airflow, tmp_path: Path) -> None:
    # Any heartbeat is older than that. Airflow reads it once in each process.
    too_old = {"AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "0"}
    with CommandLine(stack, tmp_path / "errors.log", **too_old) as line:
        (refused,) = line.answers(f"{TEAM} -s 2026-05-01")
    assert refused.code == 1
    assert "no scheduler is running" in refused.err
    assert "2026-05-01" not in runs_of(team)
