"""The folder that holds everything one stack remembers: data, logs, secrets, and what its supervisor is doing."""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Self

REPO = Path(__file__).resolve().parents[2]
JARS = REPO / ".local" / "jars"
BIN = REPO / ".local" / "bin"
CACHE = REPO / ".local" / "cache"

Phase = Literal["starting", "running", "failed", "stopping", "stopped"]
State = Literal["waiting", "starting", "running", "done", "restarting", "failed", "stopped"]


@dataclass(frozen=True)
class Home:
    """Paths below one stack's folder."""

    root: Path

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.root / "airflow"

    @property
    def postgres(self) -> Path:
        """Data folder of Airflow's database."""
        return self.root / "postgres"

    @property
    def bucket(self) -> Path:
        """The objects, as the bucket stand-in stores them."""
        return self.root / "bucket"

    @property
    def lakehouse(self) -> Path:
        """The tables: `<schema>.db/<table>`."""
        return self.root / "lakehouse"

    @property
    def workspace(self) -> Path:
        """What `/Workspace` is to a Databricks run."""
        return self.root / "workspace"

    @property
    def logs(self) -> Path:
        """One log per component."""
        return self.root / "logs"

    @property
    def env_file(self) -> Path:
        """Shell file with the environment of clients of this stack."""
        return self.root / "env"

    def log(self, component: str) -> Path:
        """The log of one component."""
        return self.logs / f"{component}.log"

    def create(self) -> None:
        """Make the folders; only the owner may look into those whose files can hold secrets."""
        for folder in (self.root, self.bucket, self.lakehouse, self.workspace):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.airflow, self.logs):
            folder.mkdir(mode=0o700, exist_ok=True)


@dataclass(frozen=True)
class Secrets:
    """Made once per home; a restart keeps sessions and encrypted values valid."""

    password: str
    databricks_token: str
    fernet_key: str
    jwt_secret: str
    api_secret: str

    @classmethod
    def of(cls, home: Home) -> Self:
        """Those of this home, made now if it has none."""
        path = home.root / "secrets.json"
        if not path.exists():
            made = cls(
                password=secrets.token_urlsafe(9),
                databricks_token="dapi" + secrets.token_hex(16),
                fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                jwt_secret=secrets.token_hex(32),
                api_secret=secrets.token_hex(32),
            )
            write_private(path, json.dumps(asdict(made)))
        return cls(**json.loads(path.read_text()))


@dataclass
class ComponentState:
    """What is known of one component."""

    name: str
    state: State = "waiting"
    pid: int = 0
    started: float = 0.0  # start time of the process, seconds since the epoch
    since: float = 0.0  # when it came into this state
    seconds: float = 0.0  # how long it took to become ready
    restarts: int = 0
    address: str = ""
    log: str = ""


@dataclass
class StackState:
    """What the supervisor last wrote of itself; `error` says why it failed and what to do."""

    phase: Phase = "stopped"
    pid: int = 0
    started: float = 0.0
    error: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    components: list[ComponentState] = field(default_factory=list)

    @classmethod
    def read(cls, home: Home) -> Self:
        """The last state written; a stopped one where there is none."""
        try:
            content: dict[str, Any] = json.loads((home.root / "state.json").read_text())
        except FileNotFoundError:
            return cls()
        return cls(**content | {"components": [ComponentState(**item) for item in content["components"]]})

    def write(self, home: Home) -> None:
        """Replace the state on disk; readers see the old or the new one, never half of it."""
        write_private(home.root / "state.json", json.dumps(asdict(self), indent=1))


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner can read, in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 (mode)
        file.write(text)
    draft.replace(path)


@contextlib.contextmanager
def only_supervisor(home: Home) -> Iterator[bool]:
    """Hold the lock of this home; yields False if another process keeps it."""
    with (home.root / "lock").open("a") as file:
        for _ in range(20):  # whoever only looks whether it is held, holds it for a moment
            if _try_lock(file):
                yield True
                return
            time.sleep(0.05)
        yield False


def is_supervised(home: Home) -> bool:
    """Whether a supervisor runs for this home."""
    if not (home.root / "lock").exists():
        return False
    with (home.root / "lock").open("a") as file:
        return not _try_lock(file)


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
