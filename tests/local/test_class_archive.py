"""The class data archive that the installation makes, as the JVM of a Spark server takes it."""

import subprocess
import time
from pathlib import Path

import pytest

from local.health import listens
from local.spark_server import ARCHIVE, LOOPBACK, spark_server_command, spark_server_env
from local.stack.processes import free_port, tail

JARS = Path(__file__).resolve().parents[2] / ".local" / "jars"
START_SECONDS = 90


def test_a_server_takes_most_of_its_classes_from_the_archive(tmp_path: Path) -> None:
    if not (JARS / ARCHIVE).exists():
        pytest.skip("the installation could not make an archive with this Java")
    port, loaded, log = free_port(), tmp_path / "classes.log", tmp_path / "server.log"
    options = ["-Xshare:on", f"-Xlog:class+load=info:file={loaded}"]
    command = spark_server_command(tmp_path / "lakehouse", JARS, port, None, more_java_options=options)
    with log.open("ab") as output:
        server = subprocess.Popen(command, env=spark_server_env(), cwd=tmp_path, stdout=output, stderr=output)
    try:
        limit = time.monotonic() + START_SECONDS
        while not listens(LOOPBACK, port):
            assert server.poll() is None, tail(log)
            assert time.monotonic() < limit, tail(log)
            time.sleep(0.1)
    finally:
        server.kill()
        server.wait()
    sources = [line.rpartition("source: ")[2] for line in loaded.read_text().splitlines() if "source: " in line]
    archived = [source for source in sources if source == "shared objects file (top)"]
    assert len(archived) > len(sources) / 2, f"{len(archived)} of {len(sources)}"
