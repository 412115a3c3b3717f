"""Thirty days of loads with a maintenance each week, one of them killed: `make soak`."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from ingestion_jobs import log, maintaining, staging
from ingestion_jobs.maintaining import maintain
from tests.conftest import REPO, SparkRemote
from tests.local.databricks.harness import wait_for
from tests.spark_jobs.conftest import Lake, order
from tests.spark_jobs.test_maintaining import QUARANTINE, STAGING, TARGET, on_disk
from tests.spark_jobs.test_maintaining import files_of as live_files

DAYS, WEEK = 30, 7
MEASURED = 3  # loads of the first day and of the last, whose median counts; one on each other day
WARM_UP = 4  # Spark compiles what it is given for the first time
KEEP_DAYS = 7  # the least that the setting takes: thirty days are enough to see that it bounds staging
GROWN_ROWS, GROWN_FILES = 60_000, 40
UPDATES, NEW = 150, 50
TABLES = (TARGET, STAGING, QUARANTINE, "ingestion_log")
NOT_SLOWER_THAN = 1.2


@dataclass
class Story:
    """What was loaded, and how long it took."""

    lake: Lake
    expected: dict[str, str]
    seconds: dict[int, list[float]] = field(default_factory=dict)
    most_staged: int = 0
    files: list[str] = field(default_factory=list)
    loads: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    def load(self, day: int) -> None:
        """A small file: updates of keys all over the target, new ones, and a bad row."""
        n = next(self.loads)
        step = GROWN_ROWS // UPDATES
        keys = [
            *(f"K{(step * i + n) % GROWN_ROWS:06}" for i in range(UPDATES)),
            *(f"N{n:03}-{i:03}" for i in range(NEW)),
        ]
        lines = [order(key, f"load {n}", f"{9 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}") for key in keys]
        file = self.lake.orders(*lines, order("", "bad", "09:00:00"), generation=n, name=f"{n}.csv")
        started = time.monotonic()
        self.lake.load(file, batch=f"day-{day:02}-{n:03}")
        self.seconds.setdefault(day, []).append(time.monotonic() - started)
        self.expected |= dict.fromkeys(keys, f"load {n}")

    def count(self, when: str) -> None:
        """Files of the newest version and on disk, of each table."""
        of_tables = (f"{len(live_files(self.lake, name))}/{len(on_disk(self.lake, name))}" for name in TABLES)
        self.files.append(f"{when:<24}" + "".join(f"{text:>16}" for text in of_tables))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """What the jobs take for now is this much ago."""
    ago = [timedelta()]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # noqa: ANN401 - as datetime has it
            return datetime.now(tz) - ago[0]

    for module in (staging, log, maintaining):
        monkeypatch.setattr(module, "datetime", Clock)
    return ago


def grown(lake: Lake) -> dict[str, str]:
    """Fill the target as loads of years have, in many files; its keys and what they have."""
    lake.load(lake.orders(order("first", "grown", "08:00:00"), generation=0, name="first.csv"), batch="first")
    rows = GROWN_ROWS // GROWN_FILES
    for first in range(0, GROWN_ROWS, rows):
        lake.spark.sql(f"""
            INSERT INTO {lake.schema}.{TARGET} SELECT order_num, concat('K', lpad(id, 6, '0')), * EXCEPT (order_num,
                tracking_num, id) FROM {lake.schema}.{TARGET}, range({first}, {first + rows}, 1, 1)
            WHERE tracking_num = 'first'
        """)
    return {"first": "grown"} | {f"K{n:06}": "grown" for n in range(GROWN_ROWS)}


def let_old_files_go(lake: Lake) -> None:
    """As though a week had passed since each file was replaced."""
    for table in TABLES:
        setting = "'delta.deletedFileRetentionDuration' = 'interval 0 hours'"
        lake.spark.sql(f"ALTER TABLE {lake.schema}.{table} SET TBLPROPERTIES ({setting})")


def killed_in_it(lake: Lake, remote: str, keep_days: int) -> None:
    """Maintain by a process of its own, and kill it when it has begun to change tables."""
    before = lake.version(STAGING)
    script = REPO / "spark_jobs" / "maintain.py"
    target = f"{lake.schema}.{TARGET}"
    arguments = ["--maintenance-id", "killed", "--keep-days", str(keep_days), target]
    process = subprocess.Popen([sys.executable, script, *arguments], env=os.environ | {"SPARK_REMOTE": remote})
    try:
        wait_for(lambda: lake.version(STAGING) > before or process.poll() is not None, 120)
        assert process.poll() is None, "it was over before it could be killed"
    finally:
        process.kill()
        process.wait()


@pytest.mark.soak
def test_day_thirty_is_as_quick_as_day_one(
    lake: Lake, spark_remote: SparkRemote, clock: list[timedelta], capsys: pytest.CaptureFixture[str]
) -> None:
    clock[0] = timedelta(days=DAYS)
    story = Story(lake, grown(lake))
    for _ in range(WARM_UP):
        story.load(0)
    let_old_files_go(lake)
    for day in range(1, DAYS + 1):
        clock[0] = timedelta(days=DAYS - day)
        for _ in range(MEASURED if day in (1, DAYS) else 1):
            story.load(day)
        batches = len({batch for (batch,) in lake.rows(STAGING, "DISTINCT _batch_id")})
        story.most_staged = max(story.most_staged, batches)
        if day % WEEK == 0:
            story.count(f"day {day}, before")
            if day == 3 * WEEK:
                # The other process has no clock but the real one.
                killed_in_it(lake, spark_remote.remote, KEEP_DAYS + DAYS - day)
                story.count(f"day {day}, killed in it")
            maintain(lake.spark, f"day {day}", [f"{lake.schema}.{TARGET}"], KEEP_DAYS)
            story.count(f"day {day}, after")
    first, last = (statistics.median(story.seconds[day]) for day in (1, DAYS))
    with capsys.disabled():
        print(f"\nseconds a load: day 1 {first:.2f}, day {DAYS} {last:.2f}, {last / first:.2f} times")
        print(f"batches in staging at most {story.most_staged}, of {DAYS + 2 * (MEASURED - 1) + WARM_UP + 1}")
        print(f"{'files, of them on disk':<24}" + "".join(f"{name.removeprefix('order_'):>16}"[:16] for name in TABLES))
        print("\n".join(story.files))
    assert dict(lake.target("tracking_num", "status")) == story.expected
    assert len(lake.target("tracking_num")) == len(story.expected)
    assert last <= NOT_SLOWER_THAN * first
    of_one_day_more = MEASURED + WARM_UP
    assert story.most_staged <= KEEP_DAYS + WEEK + of_one_day_more
