"""What the figures were measured on."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.environment import REPO
from local.toolchain import found_java

_PACKAGES = ("pyspark", "deltalake", "dlt", "polars", "duckdb", "pyarrow")


def machine() -> dict[str, object]:
    """Cores, memory, versions and how busy it is."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 1024**3, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "java": _java(),
        "delta": _delta(),
        **{name: version(name) for name in _PACKAGES},
        "commit": _commit(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found.group(1) if found else platform.processor()


def _java() -> str:
    found = re.search(r'version "([^"]+)"', found_java()[1])
    return found.group(1) if found else "unknown"


def _delta() -> str:
    jars = (REPO / ".local" / "jars").glob("delta-spark*.jar")
    return ", ".join(jar.stem.rpartition("-")[2] for jar in jars)


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(REPO), *arguments]  # whichever git is there
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "spark_jobs", "local") else ""
    return git("rev-parse", "--short", "HEAD") + changed
