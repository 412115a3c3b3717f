"""Makes the class data archive of the Spark server: `python -m local.class_archive JARS`.

To start and to load its first batch, Spark reads and checks more than 20,000 classes. The archive has those of a server
that has staged and merged one row, in the form the JVM runs them in, which saves a fifth of the processor time of both.
It fits one Java and one class path. The installation makes it anew when either changes: a JVM that is given one that
does not fit starts without its own archive too.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from local.health import listens
from local.one_row import load_one_row
from local.spark_server import ARCHIVE, LOOPBACK, spark_server_command, spark_server_env
from local.stack.processes import free_port, spawn, tail

_SCHEMA = "archive"
_START_SECONDS = 120
_WRITE_SECONDS = 180


class ArchiveError(Exception):
    """The archive could not be made; the message has the end of the log of what failed."""


def make(jars: Path) -> None:
    """Put the archive into the folder of the jars, complete or not at all.

    Raises ArchiveError, and subprocess.CalledProcessError for a job that failed.
    """
    with tempfile.TemporaryDirectory(dir=jars) as folder:
        scratch = Path(folder)
        (jars / ARCHIVE).unlink(missing_ok=True)
        _run_server(scratch, jars)
        (scratch / ARCHIVE).replace(jars / ARCHIVE)


def _run_server(scratch: Path, jars: Path) -> None:
    port, log = free_port(), scratch / "server.log"
    option = f"-XX:ArchiveClassesAtExit={scratch / ARCHIVE}"
    command = spark_server_command(scratch / "lakehouse", jars, port, None, more_java_options=[option])
    server = spawn(command, env=spark_server_env(), cwd=scratch, log=log)
    try:
        _wait_for_start(server, port, log)
        load_one_row(scratch, f"sc://{LOOPBACK}:{port}", _SCHEMA)
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


if __name__ == "__main__":
    try:
        make(Path(sys.argv[1]).resolve())
    except (ArchiveError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
