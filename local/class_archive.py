"""Makes the class data archive of the Spark server: `python -m local.class_archive JARS`.

To start and to load its first batch, Spark reads and checks more than 20,000 classes. The archive has those of a server
that has staged and merged one row, in the form the JVM runs them in, which saves a fifth of the processor time of both.
It fits one Java and one class path. The installation makes it anew when either changes: a JVM that is given one that
does not fit starts without its own archive too.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from local.health import listens
from local.spark_server import ARCHIVE, LOOPBACK, spark_server_command, spark_server_env
from local.stack.processes import free_port, spawn, tail

REPO = Path(__file__).resolve().parent.parent
_SCHEMA = "archive"
_START_SECONDS = 120
_WRITE_SECONDS = 180
_ROW = "1,2026-01-01 00:00:00\n"


class ArchiveError(Exception):
    """The archive could not be made; the message has the end of the log of what failed."""


def make(jars: Path) -> None:
    """Put the archive into the folder of the jars, complete or not at all. Raises ArchiveError."""
    with tempfile.TemporaryDirectory(dir=jars) as folder:
        scratch = Path(folder)
        (jars / ARCHIVE).unlink(missing_ok=True)
        _run_server(scratch, jars)
        (scratch / ARCHIVE).replace(jars / ARCHIVE)


def _run_server(scratch: Path, jars: Path) -> None:
    port, log = free_port(), scratch / "server.log"
    option = f"-XX:ArchiveClassesAtExit={scratch / ARCHIVE}"
    command = spark_server_command(scratch / "lakehouse", jars, port, None, java_options=[option])
    server = spawn(command, env=spark_server_env(), cwd=scratch, log=log)
    try:
        _wait_for_start(server, port, log)
        _load_one_row(scratch, f"sc://{LOOPBACK}:{port}")
        server.terminate()
        server.wait(_WRITE_SECONDS)
    finally:
        server.kill()
    if not (scratch / ARCHIVE).exists():
        raise ArchiveError(f"the Spark server ended without its class data archive:\n{tail(log)}")


def _wait_for_start(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    limit = time.monotonic() + _START_SECONDS
    while not listens(LOOPBACK, port):
        if server.poll() is not None or time.monotonic() > limit:
            raise ArchiveError(f"the Spark server did not start:\n{tail(log)}")
        time.sleep(0.1)


def _load_one_row(scratch: Path, remote: str) -> None:
    manifest = scratch / "manifest.json"
    manifest.write_text(json.dumps(_manifest(scratch)))
    jobs = [[str(REPO / "spark_jobs" / job), f"--manifest={manifest}"] for job in ("stage.py", "merge.py")]
    for arguments in (["-m", "local.stack.create_schema", _SCHEMA], *jobs):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=REPO,
            env=os.environ | {"SPARK_REMOTE": remote},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ArchiveError(f"{' '.join(arguments)} failed:\n{done.stdout[-3000:]}")


def _manifest(scratch: Path) -> dict[str, Any]:
    """A batch of one file with one row."""
    columns = [("id", "string", []), ("changed_at", "timestamp", ["yyyy-MM-dd HH:mm:ss"])]
    names = [name for name, _, _ in columns]
    file = scratch / "row.csv"
    file.write_text(",".join(names) + "\n" + _ROW)
    tables = {role: f"{_SCHEMA}.{role}" for role in ("target", "staging", "quarantine", "log")}
    return {
        "version": 1,
        "batch_id": "one-row",
        "run_id": "class archive",
        "feed": {
            "name": "rows",
            "columns": [{"name": name, "type": type_, "formats": formats} for name, type_, formats in columns],
            "key": ["id"],
            "order_by": "changed_at",
            "time_zone": "UTC",
            "csv": {"delimiter": ",", "multiline": True},
            "max_future_skew_seconds": 86400,
        },
        "tables": tables,
        "files": [
            {
                "object": "source/row.csv",
                "generation": 1,
                "date": "2026-01-01",
                "delivered_at": "2026-01-01T00:00:00Z",
                "size": file.stat().st_size,
                "columns": names,
                "input": str(file),
            }
        ],
    }


if __name__ == "__main__":
    try:
        make(Path(sys.argv[1]).resolve())
    except ArchiveError as error:
        sys.exit(str(error))
