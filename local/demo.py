"""`make demo`: the whole pipeline on this machine, from files dropped into a bucket to rows in a table.

Starts a stack of its own, delivers two days of small files and an export of another kind, shows each step as it
happens, and compares what the tables then hold with what they must hold. Exits with 0 only if all of it came out right.
"""

import argparse
import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.cloud.storage import Blob, Bucket
from rich.console import Console

from local import clients, show
from local.stack import control
from local.stack.console import follow
from local.stack.home import REPO, Home, Secrets

DAG = "order_tracking"
STEPS = ("detect_new_files", "plan_batch", "stage", "merge", "archive")
SAMPLES = REPO / "local" / "samples"
INVOICES = "parcel_invoices"
# (what people are told, the DAG that loads them, the files)
DELIVERIES = (
    ("day 1", DAG, ("order_tracking_2026_09_01.csv",)),
    (
        "day 2, and a file without its key column",
        DAG,
        ("order_tracking_2026_09_02.csv", "order_tracking_2026_09_03.csv"),
    ),
    ("an export of another kind: semicolons, windows-1252, decimal commas", INVOICES, ("Rechnungen_2026-09.csv",)),
)
DAGS = (DAG, INVOICES)
WAIT_SECONDS = 600  # for one delivery, on a machine busy with other things


class DemoError(Exception):
    """The demo cannot go on, or showed something wrong; the message says what and where to look."""


def main() -> int:
    """Run the demo. 0 when every row and file is where it belongs."""
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the stack running to look around")
    keep = parser.parse_args().keep
    console = show.console()
    home = Home(REPO / ".local" / "demo")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    code = 1
    try:
        start(home, console, keep=keep)
        console.print(f"started in {time.monotonic() - began:.0f} s\n", highlight=False)
        play(home, console)
        code = 0
    except (DemoError, clients.NotRunningError) as error:
        console.print(f"\nThe demo failed: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        console.print("\ninterrupted")
        code = 130
    finally:
        if not (keep and code == 0):
            for number in (signal.SIGINT, signal.SIGTERM):  # the terminal, make and an impatient person all send one
                signal.signal(number, signal.SIG_IGN)
            console.print("stopping ...")
            control.stop(home)
    console.print(f"\n{'[green]Done[/]' if code == 0 else '[red]Failed[/]'} after {time.monotonic() - began:.0f} s")
    if keep and code == 0:
        password = Secrets.of(home).password
        console.print(
            f"The stack still runs (user admin, password {password}): stop it with `make down STACK=.local/demo`"
        )
    return code


def start(home: Home, console: Console, *, keep: bool) -> None:
    """A fresh stack with nothing in it, healthy, its DAG waiting for files."""
    control.stop(home)
    shutil.rmtree(home.root, ignore_errors=True)
    console.print("[bold]Starting the stack[/]")
    ports = {name: os.environ.get(name) or free for name, free in control.FREE_PORTS.items()}
    supervisor: subprocess.Popen[bytes] = control.launch(home, REPO / "dags", ports, tied=not keep)
    state = follow(home, console, alive=lambda: supervisor.poll() is None)
    if state.phase != "running":
        raise DemoError(state.error or f"the supervisor ended; see {home.log('supervisor')}")
    airflow = clients.Airflow(home)
    deadline = time.monotonic() + WAIT_SECONDS
    while not all(waiting_run(airflow, dag) for dag in DAGS):
        if time.monotonic() > deadline:
            errors = "\n".join(airflow.import_errors()) or f"see {home.log('scheduler')}"
            raise DemoError(f"the DAGs {' and '.join(DAGS)} did not begin to wait for files: {errors}")
        time.sleep(0.2)
    console.print(f"  Airflow: {airflow.url}   user admin, password {Secrets.of(home).password}", highlight=False)


def waiting_run(airflow: clients.Airflow, dag: str) -> str | None:
    """The run of the DAG whose sensor waits for files, if one does."""
    for run in airflow.runs(dag):
        if run["state"] == "running" and airflow.tasks(dag, run["dag_run_id"])[STEPS[0]]["state"] == "deferred":
            return run["dag_run_id"]
    return None


def play(home: Home, console: Console) -> None:
    """Deliver each day's files when the ones before are archived; show and check the result."""
    bucket = clients.bucket(home)
    airflow = clients.Airflow(home)
    archived: dict[str, float] = {}
    for title, dag, names in DELIVERIES:
        console.print(f"[bold]Delivering {title}[/]")
        archived |= deliver(Delivery(dag, airflow, bucket, console), names)
    console.print()
    show.show(home, console, limit=20)
    check(home, list(bucket.list_blobs()))
    console.print("\n[bold]From upload to archived[/] (or to rejected)")
    for name, seconds in archived.items():
        console.print(f"  {name}  {seconds:5.1f} s", highlight=False)


@dataclass
class Delivery:
    """Files on their way: which step ended when, and which file left `source/` when."""

    dag: str
    airflow: clients.Airflow
    bucket: Bucket
    console: Console
    uploaded: float = 0.0  # all times are monotonic seconds
    ended: dict[str, float] = field(default_factory=dict)
    left_source: dict[str, float] = field(default_factory=dict)

    def watch_steps(self, run: str) -> str:
        """Print steps that ended since the last look, with the time since the one before; the state of the run."""
        tasks = self.airflow.tasks(self.dag, run)
        for step in STEPS:
            state = tasks[step]["state"]
            if state == "failed":
                raise DemoError(f"{step} failed; the end of its log:\n{self.airflow.log(self.dag, run, tasks[step])}")
            if state in ("success", "skipped") and step not in self.ended:
                took = time.monotonic() - max(self.ended.values(), default=self.uploaded)
                self.ended[step] = time.monotonic()
                self.console.print(f"  {step:<18} {state:<8} {took:5.1f} s", highlight=False)
        return next(found["state"] for found in self.airflow.runs(self.dag) if found["dag_run_id"] == run)


def deliver(delivery: Delivery, names: tuple[str, ...]) -> dict[str, float]:
    """Upload files and follow the run that takes them; seconds from upload until each left `source/`."""
    run = waiting_run(delivery.airflow, delivery.dag)
    deadline = time.monotonic() + WAIT_SECONDS
    while run is None and time.monotonic() < deadline:  # between two waiting runs
        time.sleep(0.1)
        run = waiting_run(delivery.airflow, delivery.dag)
    if run is None:
        raise DemoError(f"no run of {delivery.dag} waits for files")
    delivery.uploaded = time.monotonic()
    for name in names:
        delivery.bucket.blob(f"source/{name}").upload_from_filename(SAMPLES / name)
        delivery.console.print(f"  {name} -> gs://{delivery.bucket.name}/source/", highlight=False)
    state = "running"
    while state not in ("success", "failed"):
        if time.monotonic() > deadline:
            raise DemoError(f"run {run} is not over after {WAIT_SECONDS} s: see it at {delivery.airflow.url}")
        state = delivery.watch_steps(run)
        present = {blob.name.removeprefix("source/") for blob in delivery.bucket.list_blobs(prefix="source/")}
        for name in set(names) - present - set(delivery.left_source):
            delivery.left_source[name] = time.monotonic() - delivery.uploaded
        time.sleep(0.1)
    if state != "success" or set(names) - set(delivery.left_source):
        raise DemoError(f"run {run} ended as {state} with {sorted(set(names) - set(delivery.left_source))} in source/")
    return {name: delivery.left_source[name] for name in names}


def check(home: Home, blobs: list[Blob]) -> None:
    """Compare tables and bucket with what the samples must lead to; DemoError names what differs."""
    tables = clients.tables(home)
    for dag in DAGS:
        compare(dag, expected(dag), clients.rows(tables[dag], "tracking_num")[0])
        quarantine = f"{dag}_quarantine"
        compare(quarantine, expected(quarantine), clients.rows(tables[quarantine], "_source_file, _record")[0])
    names = sorted(blob.name for blob in blobs if not blob.name.startswith("batches/"))
    folders = [name.rsplit("/", 1)[0] for name in names]
    archived = [f"archive/{DAG}/2026-09-01", f"archive/{DAG}/2026-09-02", f"archive/{INVOICES}/2026-09-01"]
    wanted = [*archived, *[f"rejected/{DAG}/2026-09-03"] * 2]
    if folders != wanted:
        raise DemoError(f"the bucket holds {names}, expected one object each in {wanted}")


def expected(table: str) -> list[dict[str, str]]:
    """Its rows, written by hand."""
    with (SAMPLES / "expected" / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def compare(table: str, wanted: list[Mapping[str, str]], found: list[dict[str, Any]]) -> None:
    """Both in the same order, by the columns that are wanted."""
    columns = list(wanted[0])
    shown = [{column: as_text(row[column]) for column in columns} for row in found]
    if shown != wanted:
        missing = [row for row in wanted if row not in shown]
        unexpected = [row for row in shown if row not in wanted]
        raise DemoError(f"{table} is wrong.\nmissing: {missing}\nunexpected: {unexpected}")


def as_text(value: object) -> str:
    """As the expected rows are written: times in UTC without zone, nothing for NULL."""
    return "" if value is None else str(value).removesuffix("+00:00")


if __name__ == "__main__":
    sys.exit(main())
