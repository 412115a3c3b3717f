"""Runs the services of a Compose project without Docker: each one's own command, variables, user, volumes and health
check, as processes of this machine, in namespaces of their own.

What a container has, they have: a root folder with nothing of this machine but its programs, a network with nothing but
the other services, known by name; no capability. What the images would hold comes from this machine: interpreter and
packages of .venv, PostgreSQL and Java as installed, and what the Dockerfile copies, by its own COPY lines.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from local.toolchain import java_command
from tests.local.databricks.harness import FEW_BATCHES

REPO = Path(__file__).resolve().parents[2]
START_SECONDS = 400  # at the worst: beside other tests, on a machine whose processors others use too
POSTGRES = "*/bin/postgres"  # of each version that Debian has installed
WORKDIRS = {"ingestion-airflow": "/opt/airflow", "ingestion-stand-ins": "/opt/ingestion"}  # by image
# Mounts a root folder with the programs of this machine, and goes into it. What is left then lives until its standard
# input ends, which it does however the test ends, and takes all that runs in the room along.
ROOM = r"""
set -e
root=$1; shift
mount -t tmpfs tmpfs "$root"
mkdir -p "$root"/proc "$root"/dev "$root"/tmp "$root"/var "$root"/run/postgresql
ln -s /run "$root"/var/run
for path in "$@"; do
    if [ -d "$path" ]; then mkdir -p "$root$path"; else mkdir -p "$root$(dirname "$path")"; touch "$root$path"; fi
    mount --rbind "$path" "$root$path"
done
chmod 1777 "$root"/tmp "$root"/run/postgresql
install --directory --owner=50000 --group=0 "$root"/opt/airflow  # as in the image
mount -t proc proc "$root"/proc
mount --rbind /dev "$root"/dev
ip link set lo up
echo ready
exec chroot "$root" /bin/cat
"""
# What the entry point of the image `postgres` does before it starts the server.
POSTGRES_ENTRYPOINT = r"""
set -e
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    printf %s "$POSTGRES_PASSWORD" > /tmp/pwfile
    initdb --pgdata=$data --username="$POSTGRES_USER" --pwfile=/tmp/pwfile --auth-host=scram-sha-256 --auth-local=trust
    rm /tmp/pwfile
    pg_ctl --pgdata=$data --options="-c listen_addresses=" --wait start
    createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl --pgdata=$data --mode=fast --wait stop
    echo "host all all all scram-sha-256" >> $data/pg_hba.conf
fi
exec postgres -D $data -c listen_addresses='*'
"""


@dataclass
class Container:
    """A service that was started."""

    name: str
    service: Mapping[str, Any]
    process: subprocess.Popen[bytes]
    log: Path
    healthy: bool = False
    asked_again: float = 0.0  # monotonic: from then on its health is asked for again

    @property
    def done(self) -> bool:
        """Whether it has ended well."""
        return self.process.poll() == 0


@dataclass
class Containers:
    """The running services of a project, as compose-go models it, in the room of the process `leader`."""

    project: Mapping[str, Any]
    home: Path
    leader: int
    running: dict[str, Container] = field(default_factory=dict)

    def up(self) -> None:
        """Start every service as soon as what it depends on is as it says; return when all are healthy or done."""
        deadline = time.monotonic() + START_SECONDS
        services = self.project["services"]
        while not (len(self.running) == len(services) and all(map(self._settled, self.running.values()))):
            for name, service in services.items():
                if name not in self.running and all(map(self._met, service.get("depends_on", {}).items())):
                    self.running[name] = self._start(name, service)
            for container in self.running.values():
                self._look_after(container)
            if time.monotonic() > deadline:
                waiting = sorted(set(services) - {item.name for item in self.running.values() if self._settled(item)})
                raise AssertionError(f"not up in {START_SECONDS} s: {waiting}")
            time.sleep(0.5)

    def ill(self) -> list[str]:
        """The servers that have ended, or whose health check fails now."""
        servers = [item for item in self.running.values() if "healthcheck" in item.service]
        return [item.name for item in servers if item.process.poll() is not None or not self._is_healthy(item.service)]

    def run(self, command: list[str], environment: Mapping[str, str]) -> str:
        """The output of a command among the services."""
        done = subprocess.run(
            self._inside(command, "50000:0", str(REPO)),
            env=self._environment(environment),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def volume(self, name: str) -> Path:
        """The folder that holds a named volume."""
        return self.home / "volumes" / name

    def _met(self, need: tuple[str, Mapping[str, Any]]) -> bool:
        name, condition = need
        if name not in self.running:
            return False
        container = self.running[name]
        return container.done if condition["condition"] == "service_completed_successfully" else container.healthy

    def _settled(self, container: Container) -> bool:
        return container.healthy or container.done

    def _start(self, name: str, service: Mapping[str, Any]) -> Container:
        user = _user(service)
        for volume in service.get("volumes", []):
            self._mount(volume, user)
        command = service["command"] or ["bash", "-c", POSTGRES_ENTRYPOINT]
        workdir = WORKDIRS.get(service["image"].partition(":")[0], "/")
        log = self.home / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._inside(command, user, workdir),
                env=self._environment(service.get("environment", {})),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Container(name, service, process, log)

    def _look_after(self, container: Container) -> None:
        code = container.process.poll()
        is_step = "healthcheck" not in container.service
        if code is not None and not (is_step and code == 0):
            raise AssertionError(f"{container.name} ended with {code}:\n{container.log.read_text()[-3000:]}")
        if not is_step and not container.healthy and time.monotonic() >= container.asked_again:
            container.healthy = self._is_healthy(container.service)
            container.asked_again = time.monotonic() + _seconds(container.service["healthcheck"]["start_interval"])

    def _is_healthy(self, service: Mapping[str, Any]) -> bool:
        kind, *check = service["healthcheck"]["test"]
        assert kind == "CMD", kind
        try:
            asked = subprocess.run(
                self._inside(check, _user(service), "/"),
                env=self._environment(service.get("environment", {})),
                timeout=_seconds(service["healthcheck"]["timeout"]),
                capture_output=True,
            )
        except subprocess.TimeoutExpired:
            return False
        return asked.returncode == 0

    def _inside(self, command: list[str], user: str, workdir: str) -> list[str]:
        uid, _, gid = user.partition(":")
        room = [
            "/usr/bin/nsenter",
            f"--target={self.leader}",
            "--mount",
            "--net",
            "--pid",
            "--root",
            f"--wdns={workdir}",
        ]
        # `cap_drop: ALL` and `no-new-privileges`.
        bare = ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
        return [*room, *bare, "--bounding-set=-all", "--inh-caps=-all", *command]

    def _environment(self, environment: Mapping[str, str | None]) -> dict[str, str]:
        # As the image has it on its PATH; by its real place, for the links to it may not be in the room.
        java = Path(shutil.which(java_command()) or "").resolve().parent
        folders = [REPO / ".venv" / "bin", REPO / ".local" / "bin", postgres_programs(), java, "/usr/bin", "/bin"]
        given = {name: value for name, value in environment.items() if value is not None}
        machine = {"PATH": os.pathsep.join(map(str, folders)), "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108
        return machine | FEW_BATCHES | given

    def _mount(self, volume: Mapping[str, Any], user: str) -> None:
        target = volume["target"]
        if volume["type"] == "bind":
            source, mode = Path(volume["source"]), "ro"
        else:
            source, mode = self.volume(volume["source"]), "rw"
            if not source.exists():
                source.mkdir(parents=True)
                shutil.chown(source, *(int(part) if part.isdigit() else part for part in user.split(":")))
        self.bind(source, target, mode)

    def bind(self, source: Path, target: str, mode: str) -> None:
        """Make a file or folder of this machine appear in the room, once."""
        script = (
            'if mountpoint -q "$2$3"; then exit; fi; '
            'if [ -d "$1" ]; then mkdir -p "$2$3"; else mkdir -p "$2$(dirname "$3")"; touch "$2$3"; fi; '
            'mount --bind "$1" "$2$3"; mount -o "remount,bind,$4" "$2$3"'
        )
        room = str(self.home / "room")
        arguments = ["sh", "-ec", script, "sh", str(source), room, target, mode]
        subprocess.run(["/usr/bin/nsenter", f"--target={self.leader}", "--mount", *arguments], check=True)


@contextmanager
def room_for(project: Mapping[str, Any], home: Path) -> Iterator[Containers]:
    """A room with the files of the images and none of the services yet. All that runs in it ends with it."""
    room = home / "room"
    room.mkdir()
    # An address each, so that a server that listens on 127.0.0.1 alone is reached by none of the others.
    hosts = [f"127.0.0.{number} {name}" for number, name in enumerate(project["services"], start=2)]
    (home / "hosts").write_text("\n".join([f"127.0.0.1 localhost {socket.gethostname()}", *hosts, ""]))
    (home / "passwd").write_text(f"{Path('/etc/passwd').read_text()}airflow:x:50000:0::/tmp:/bin/bash\n")
    programs = [Path(name) for name in ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", sys.base_prefix)]
    shown = [str(path) for path in (*programs, REPO) if path.exists()]
    holder = subprocess.Popen(
        [
            "/usr/bin/unshare",
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            ROOM,
            "sh",
            str(room),
            *shown,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    containers = None
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        (leader,) = psutil.Process(holder.pid).children()
        containers = Containers(project, home, leader.pid)
        for name in ("hosts", "passwd"):
            containers.bind(home / name, f"/etc/{name}", "ro")
        for source, target in copied_files():
            containers.bind(source, target, "ro")
        # Without the class archive beside them: it is of another path, and such a one costs Java its own archive too.
        for jar in (REPO / ".local" / "jars").glob("*.jar"):
            containers.bind(jar, f"/opt/ingestion/jars/{jar.name}", "ro")
        yield containers
    finally:
        holder.communicate()
        for container in containers.running.values() if containers else ():
            container.process.wait()


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def _user(service: Mapping[str, Any]) -> str:
    return service["user"] if ":" in service["user"] else f"{service['user']}:{service['user']}"


def copied_files() -> list[tuple[Path, str]]:
    """What the Dockerfile copies from the repository into the images, and where to."""
    found = []
    workdir = "/"
    for line in (REPO / "Dockerfile").read_text().splitlines():
        if match := re.match(r"FROM .* AS ([\w-]+)$", line):
            target, workdir = match[1], "/opt/airflow"
        elif match := re.match(r"WORKDIR (\S+)$", line):
            workdir = match[1]
        elif (match := re.match(r"COPY ([^-\s]\S*) (\S+)$", line)) and target in ("airflow", "stand-ins"):
            source, place = REPO / match[1], os.path.join(workdir, match[2])  # noqa: PTH118 (a path in a container)
            found.append((source, f"{place}{source.name}" if place.endswith("/") else place))
    return found


def postgres_programs() -> Path:
    """Where Debian's PostgreSQL server is, the newest if there are several."""
    return max(Path("/usr/lib/postgresql").glob(POSTGRES), key=lambda path: int(path.parts[-3])).parent


def what_is_missing() -> str:
    """Why this machine cannot run the services, or nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "namespaces for the services need root on Linux"
    if not shutil.which("ip") or not any(Path("/usr/lib/postgresql").glob(POSTGRES)):
        return "the services need a PostgreSQL server and the program ip: apt-get install postgresql iproute2"
    return ""
