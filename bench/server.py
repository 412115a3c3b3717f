"""The Spark server that ours and the Spark peers share, started by the stack's own command."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from pyspark.sql import SparkSession

from bench.environment import REPO
from local.health import listens
from local.spark_server import spark_server_command, spark_server_env
from local.stack.processes import Identity, end, free_port, identify, spawn, tail

_START_SECONDS = 120
_LOOPBACK = "127.0.0.1"


class Server:
    """A Spark Connect server on local files, which keeps its tables when it is started again."""

    def __init__(self, home: Path, conf: Mapping[str, str]) -> None:
        self.home, self.conf = home, conf
        self.lakehouse = home / "lakehouse"
        self.lakehouse.mkdir(parents=True)
        self._log = home / "spark.log"
        self._leader: Identity | None = None
        self._started: subprocess.Popen[bytes] | None = None
        self._remote = ""
        self._log_tells = False

    def start(self) -> float:
        """Start it, or start it anew; seconds until it takes connections."""
        self.stop()
        port = free_port()
        command = spark_server_command(self.lakehouse, REPO / ".local" / "jars", port, None, more_conf=self.conf)
        started = time.monotonic()
        process = spawn(command, env=spark_server_env(), cwd=self.home, log=self._log)
        self._leader, self._started = identify(process.pid), process
        while not listens(_LOOPBACK, port):
            if process.poll() is not None or time.monotonic() - started > _START_SECONDS:
                raise RuntimeError(f"the Spark server did not start:\n{tail(self._log)}")
            time.sleep(0.05)
        self._remote = f"sc://{_LOOPBACK}:{port}"
        return time.monotonic() - started

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._leader is not None and self._started is not None:
            end({self._leader: signal.SIGTERM}, seconds=10)
            self._started.wait(timeout=10)
            self._leader = self._started = None

    @contextmanager
    def session(self) -> Iterator[SparkSession]:
        """A session of its own for one job, as each run has on Databricks."""
        session = SparkSession.builder.remote(self._remote).create()
        try:
            yield session
        finally:
            session.stop()

    def log_size(self) -> int:
        """Bytes of its log so far."""
        return self._log.stat().st_size

    def files_read(self, table: Path, since: int) -> set[str] | None:
        """Names of the table's files that it has read since its log had that size; None if its log does not say."""
        with self._log.open("rb") as log:
            log.seek(since)
            text = log.read().decode(errors="replace")
        name = re.escape(str(table.relative_to(self.lakehouse)))
        found = re.findall(rf"Reading File path: \S*/{name}/(\S+?\.parquet)", text)
        self._log_tells = self._log_tells or "Reading File path: " in text
        return set(found) if self._log_tells else None

    def cpu_seconds(self) -> float:
        """Processor time it has used so far."""
        times = self._process().cpu_times()
        return times.user + times.system

    def read_bytes(self) -> int:
        """Bytes it has read so far, from files and sockets, those in the page cache included; 0 where nobody tells."""
        counters = getattr(self._process(), "io_counters", None)
        return counters().read_chars if counters else 0

    def memory(self) -> int:
        """Bytes of memory it holds now."""
        return self._process().memory_info().rss

    def _process(self) -> psutil.Process:
        if self._leader is None:
            raise RuntimeError("the Spark server does not run")
        return psutil.Process(self._leader.pid)
