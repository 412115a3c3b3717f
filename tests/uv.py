"""The uv of the project's own environment, for tests that need other environments."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


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
