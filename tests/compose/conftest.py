"""The Compose project as the specification's own implementation reads it."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from local.compose_env import filled
from local.install import go_command

REPO = Path(__file__).resolve().parents[2]
Model = Callable[..., dict[str, Any]]


class ComposeError(Exception):
    """The loader refused the project; the message is its own."""


@pytest.fixture(scope="session")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that loads a Compose project, built from its module."""
    program = tmp_path_factory.mktemp("compose") / "model"
    build = [go_command(), "build", "-o", program, "."]
    subprocess.run(build, cwd=Path(__file__).parent / "model", check=True)
    return program


@pytest.fixture
def model(loader: Path, tmp_path: Path) -> Model:
    """Loads docker-compose.yml, or `text` in its place, with the variables of an env file and no others."""

    def load(variables: str, text: str | None = None) -> dict[str, Any]:
        env_file = tmp_path / "env"
        env_file.write_text(variables)
        environment = {}
        if text is not None:
            (tmp_path / "compose.yml").write_text(text)
            environment["COMPOSE_FILE"] = str(tmp_path / "compose.yml")
        done = subprocess.run(
            [loader, env_file], cwd=REPO, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ComposeError(done.stderr)
        return json.loads(done.stdout)

    return load


@pytest.fixture
def variables() -> str:
    """.env as `make env` writes it: for local work."""
    return filled((REPO / ".env.example").read_text())


def values(variables: str) -> Mapping[str, str]:
    """The plain values of an env file: those without quotes."""
    pairs = (line.split("=", 1) for line in variables.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value for name, value in pairs if not value.startswith(("'", '"'))}
