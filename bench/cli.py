"""The benchmarks' command line. Started by `python -m bench`, in the environment that has the peers."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from bench.environment import LOCAL, PROJECT_PYTHON, REPO
from bench.lab import Lab
from bench.machine import machine
from bench.report import write_report
from bench.scenarios import SCENARIOS
from bench.server import Server
from bench.sizes import SIZES

DAG_PARSE = "dag_parse"
RESULTS = REPO / "bench" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and write the report; 1 if ours was wrong anywhere or failed."""
    asked = _parse(arguments)
    # Terminated is ended in order: the server is stopped and the tables are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    size = SIZES["full" if asked.full else asked.size]
    if asked.rounds:
        size = replace(size, rounds=asked.rounds)
    started = time.monotonic()
    document = {"size": size.name, "label": asked.label, "conf": asked.conf, "machine": machine(), "cases": []}
    chosen = asked.only or ([*SCENARIOS, DAG_PARSE] if size.name == "full" else [*_SMALL, DAG_PARSE])
    LOCAL.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=LOCAL))
    server = Server(folder / "spark", asked.conf)
    try:
        if DAG_PARSE in chosen:
            document["dag_parse"] = _dag_parse()
        if scenarios := [name for name in SCENARIOS if name in chosen]:
            document["server_start"] = server.start()
            lab = Lab(folder, server, size, asked.peers)
            for name in scenarios:
                for case in SCENARIOS[name](lab):
                    document["cases"].append(case.as_json())
            document["server_memory_gb"] = round(server.memory() / 1024**3, 2)
    finally:
        server.stop()
        if asked.keep:
            print(f"Kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    document["seconds"] = round(time.monotonic() - started)
    out = asked.out or _default_out(asked, size.name)
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    print(write_report(document, out))
    print(f"\n{document['seconds']} s in all. Tables and charts: {out / 'results.md'}")
    ours = (result for case in document["cases"] for result in case["results"] if result["peer"] == "ours")
    return int(any(result["wrong"] for result in ours))


# S3 and S4 of the small size differ from the headline in the number of files alone, and wide files take long: they run
# when they are asked for.
_SMALL = [name for name in SCENARIOS if name not in ("S3", "S4", "wide")]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the jobs beside their peers.")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--full", action="store_true", help="the same as --size full")
    parser.add_argument("--only", nargs="+", choices=[*SCENARIOS, DAG_PARSE], metavar="SCENARIO", help="not all")
    parser.add_argument("--rounds", type=int, help="how many runs count")
    parser.add_argument("--peers", nargs="+", default=[], metavar="NAME", help="only those whose names begin so")
    parser.add_argument(
        "--conf", action="append", default=[], type=_pair, metavar="NAME=VALUE", help="a setting of the Spark server"
    )
    parser.add_argument("--label", default="", help="names the run in its report")
    parser.add_argument("--out", type=Path, help="folder of the report")
    parser.add_argument("--keep", action="store_true", help="keep the tables and the server's log")
    asked = parser.parse_args(arguments)
    asked.conf = dict(asked.conf)
    return asked


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def _default_out(asked: argparse.Namespace, size: str) -> Path:
    """Only a whole run with the project's own settings replaces the results that are kept with the code."""
    partial = asked.only or asked.peers or asked.conf or asked.rounds or size == "tiny"
    return LOCAL / "results" if partial else RESULTS


def _dag_parse() -> list[dict[str, float]]:
    """By the project's own environment, which has Airflow."""
    command = [str(PROJECT_PYTHON), "-m", "bench.dag_parse", "--json"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _run_and_leave() -> NoReturn:
    """End without the interpreter's own clean-up: a client of a server that is gone would retry there for minutes."""
    code = 1
    try:
        code = main()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _run_and_leave()
