"""The uv of the project's own environment, for tests that need other environments."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from local.stack.home import CACHE


def environment(requirements: Path) -> Path:
    """The Python of an environment with these locked packages alone, made once and kept."""
    wanted = requirements.read_bytes() + f"{sys.base_prefix} {sys.version_info[:2]}".encode()
    home = CACHE / f"{requirements.stem.replace('_', '-')}-{hashlib.sha256(wanted).hexdigest()[:16]}"
    if not home.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f"{home.name}.", suffix=".tmp", dir=CACHE))
        try:
            uv("venv", "--python", sys.executable, draft)
            uv(
                "pip",
                "install",
                "--no-deps",
                "--python",
                draft / "bin" / "python",
                "--require-hashes",
                "-r",
                requirements,
            )
            draft.rename(home)
        except OSError:
            if not home.exists():  # else another session made it meanwhile
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return home / "bin" / "python"


def uv(*arguments: str | Path) -> None:
    """Run it; a failure is the test's."""
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), "--quiet", *arguments],
        env=os.environ | {"UV_SYSTEM_CERTS": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"uv {arguments[0]}: {done.stderr}")


def packages(requirements: Path) -> Path:
    """The folder of the packages of such an environment, to be found beside the project's own."""
    (folder,) = environment(requirements).parents[1].glob("lib/python*/site-packages")
    return folder
