"""The benchmarks' own environment: the peers' packages beside the locked ones, away from `.venv`."""

import os
import shutil
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
LOCAL = REPO / ".local" / "bench"
PROJECT_PYTHON = REPO / ".venv" / "bin" / "python"
PYTHON = LOCAL / "venv" / "bin" / "python"
_STAMP = LOCAL / "venv" / ".installed"
_UV = REPO / ".venv" / "bin" / "uv"


def ensure() -> Path:
    """The Python that has all packages, made or brought up to date if need be.

    The peers are installed apart, so that measuring against them changes nothing for anybody who only uses the project.
    """
    wanted = "\n".join((REPO / name).read_text() for name in ("requirements.lock", "bench/requirements.txt"))
    if not PYTHON.exists() or not _STAMP.exists() or _STAMP.read_text() != wanted:
        print("Installing the peers into .local/bench/venv ...", flush=True)
        shutil.rmtree(PYTHON.parent.parent, ignore_errors=True)
        _uv("venv", "--python", str(PROJECT_PYTHON), str(PYTHON.parent.parent))
        requirements = ["-c", str(REPO / "requirements.lock"), "-r", str(REPO / "bench" / "requirements.txt")]
        _uv("pip", "install", "--python", str(PYTHON), *requirements)
        _STAMP.write_text(wanted)
    return PYTHON


def _uv(*arguments: str) -> None:
    subprocess.run([_UV, "--quiet", *arguments], env=os.environ | {"UV_SYSTEM_CERTS": "true"}, check=True)
