"""Installs what the project needs into `.venv` and `.local`; prints nothing and ends at once when all is there.

Run by any python3 before anything is installed: standard library only, and no syntax that an older Python cannot read.
Every part is put in place in one step when it is complete, so an interrupted installation is finished by the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
VENV = REPO / ".venv"
PYTHON = VENV / "bin" / "python"
LOCAL = REPO / ".local"
STAMP = VENV / ".installed"
BUCKET_SERVER = LOCAL / "bin" / "fake-gcs-server"
BUCKET_MODULE = "github.com/fsouza/fake-gcs-server@v1.56.1"
CHECKSUMS = REPO / "local" / "jars" / "SHA256SUMS"
ARCHIVE_STAMP = LOCAL / "jars" / "classes.jsa.for"
OLDEST_PYTHON = (3, 11)
OLDEST_JAVA = 17
OLDEST_GO = (1, 24)
_printing = threading.Lock()


class InstallError(Exception):
    """A step failed; the message names it, with the end of its output."""


def main() -> int:
    """Check what the machine must have, then install what is missing. 0 when everything is in place."""
    problems = missing_prerequisites()
    if problems:
        print("Cannot install yet. Missing on this machine:\n" + "\n".join(f"  - {problem}" for problem in problems))
        return 1
    LOCAL.mkdir(exist_ok=True)
    try:
        with (LOCAL / "install.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once: the second finds everything done
            install_missing()
    except InstallError as error:
        print(f"Not installed: {error}")
        return 1
    except KeyboardInterrupt:
        print("Interrupted: the next make goes on from here")
        return 130
    return 0


def install_missing() -> None:
    """Both branches at once: the build of the bucket server is as long as all the rest."""
    branches = []
    if not packages_are_current() or missing_jars() or not archive_is_current():
        branches.append(install_python_packages_and_jars)
    if go_is_needed():
        branches.append(install_bucket_server)
    with ThreadPoolExecutor() as pool:
        for running in [pool.submit(branch) for branch in branches]:
            running.result()


def missing_prerequisites() -> list[str]:
    """What this machine lacks, each with how to get it."""
    return [problem for problem in (python_problem(), java_problem(), go_problem()) if problem]


def python_problem() -> str | None:
    """This Python, which becomes the project's, must be recent enough and able to make virtual environments."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:2]))
        return (
            f"Python 3.11 or newer ({sys.executable} is {found}): name one that is, as in `make PYTHON=python3.12 demo`"
        )
    try:
        import ensurepip  # noqa: F401 - Debian ships Python without it
        import venv  # noqa: F401
    except ImportError:
        return "Python's venv module: `apt-get install python3-venv` on Debian and Ubuntu"
    return None


def java_problem() -> str | None:
    """Spark needs a Java runtime, found as Spark finds it: JAVA_HOME, else the PATH."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(java_command())
    way = (
        "`apt-get install openjdk-17-jre-headless` on Debian and Ubuntu, `brew install openjdk@17` on macOS; "
        "JAVA_HOME chooses among several"
    )
    if not java:
        where = f"JAVA_HOME={home} has no bin/java" if home else "no java on the PATH"
        return f"Java {OLDEST_JAVA} or newer ({where}): {way}"
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = java_version(answer.stderr)
    if found is None or found < OLDEST_JAVA:
        return f"Java {OLDEST_JAVA} or newer ({java} is {found or 'no working Java'}): {way}"
    return None


def java_command() -> str:
    """Java as Spark finds it."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def java_version(text: str) -> int | None:
    """The major version in the output of `java -version`, None if there is none. Java 8 calls itself 1.8."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else None


def go_is_needed() -> bool:
    """Go builds the bucket stand-in, unless that is installed here or on the PATH."""
    return not BUCKET_SERVER.exists() and shutil.which("fake-gcs-server") is None


def go_problem() -> str | None:
    """Go must be recent enough, where it is needed."""
    if not go_is_needed():
        return None
    way = "a recent Go from go.dev/dl, `brew install go` on macOS, or a fake-gcs-server binary on the PATH"
    go = shutil.which("go")
    if not go:
        return f"Go {'.'.join(map(str, OLDEST_GO))} or newer (no go on the PATH): {way}"
    answer = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = go_version(answer)
    if found is None or found < OLDEST_GO:
        version = ".".join(map(str, found)) if found else "no working Go"
        return f"Go {'.'.join(map(str, OLDEST_GO))} or newer ({go} is {version}): {way}"
    return None


def go_version(text: str) -> tuple[int, int] | None:
    """Major and minor version in the output of `go version`."""
    found = re.search(r"go(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else None


def install_python_packages_and_jars() -> None:
    """The locked packages, then the jars: Ivy, which fetches them, comes with Spark. Then what makes starts shorter."""
    if not packages_are_current():
        install_python_packages()
    if missing_jars():
        install_jars()
    if not list((LOCAL / "cache").glob("database-*")):
        # Made now, in the shadow of the long build of the bucket server, rather than at the first start.
        run("prepare an empty Airflow database", [PYTHON, "-m", "local.stack.database"])
    if not archive_is_current():
        make_class_archive()


def wanted_packages() -> str:
    """Names what should be installed: a digest of the lock, the project file, the place and the Python."""
    parts = [(REPO / name).read_bytes() for name in ("requirements.lock", "pyproject.toml")]
    parts.append(f"{REPO} {sys.version_info[:2]}".encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def packages_are_current() -> bool:
    """Whether the last complete installation was of what is wanted now."""
    return STAMP.exists() and STAMP.read_text() == wanted_packages() and PYTHON.exists()


def install_python_packages() -> None:
    """The virtual environment with exactly the locked packages, and the project itself, editable."""
    STAMP.unlink(missing_ok=True)
    if not works([PYTHON, "-m", "pip", "--version"]):
        run("make .venv", [sys.executable, "-m", "venv", "--clear", VENV])
    lock = REPO / "requirements.lock"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as own:
        own.write(locked_entry("uv", lock.read_text()))
        own.flush()
        run("install uv", [PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", own.name])
    uv = [VENV / "bin" / "uv", "pip"]
    certificates = {"UV_SYSTEM_CERTS": "true"}  # as pip and everything else on this machine
    run("install Python packages", [*uv, "sync", "--python", PYTHON, "--require-hashes", lock], certificates)
    project = [*uv, "install", "--python", PYTHON, "--no-deps", "--no-build-isolation", "--editable", REPO]
    run("install the project", project)
    STAMP.write_text(wanted_packages())


def locked_entry(name: str, lock: str) -> str:
    """The lines of one package in a lock file, hashes included."""
    found = re.search(rf"^{re.escape(name)}==.*(?:\n .*)*", lock, re.MULTILINE)
    if not found:
        raise InstallError(f"requirements.lock does not have {name}: run `make lock`")
    return found.group(0) + "\n"


def jar_checksums() -> dict[str, str]:
    """SHA-256 by file name."""
    lines = CHECKSUMS.read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def missing_jars() -> list[str]:
    """Names of the jars that are not there; one that is there was checked when it was put there."""
    return [name for name in jar_checksums() if not (LOCAL / "jars" / name).exists()]


def install_jars() -> None:
    """Fetch the jars with the Maven client inside Spark, check them, move them into place."""
    (LOCAL / "jars").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=LOCAL) as scratch:
        ivy = next((VENV / "lib").glob("python*/site-packages/pyspark/jars/ivy-*.jar"))
        pattern = f"{scratch}/[artifact]-[revision](-[classifier]).[ext]"
        files = ["-settings", CHECKSUMS.with_name("settings.xml"), "-ivy", CHECKSUMS.with_name("ivy.xml")]
        run(
            "fetch jars",
            [java_command(), "-jar", ivy, "-error", *files, "-cache", f"{scratch}/cache", "-retrieve", pattern],
        )
        for name, wanted in jar_checksums().items():
            path = Path(scratch) / name
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no file"
            if found != wanted:
                raise InstallError(f"{name} is not the expected file: SHA-256 {found}, expected {wanted}")
            path.replace(LOCAL / "jars" / name)


def wanted_archive() -> str:
    """Names what the class data archive must be of: the installed Spark, and the Java that runs it."""
    java = subprocess.run([java_command(), "-version"], capture_output=True, text=True, check=True).stderr
    return f"{wanted_packages()}\n{CHECKSUMS.read_text()}{java}"


def archive_is_current() -> bool:
    """Whether the archive was made for them, or could not be made."""
    return ARCHIVE_STAMP.exists() and ARCHIVE_STAMP.read_text() == wanted_archive()


def make_class_archive() -> None:
    """Let Spark's JVM keep the classes it loads. Without it, where a Java cannot do that, Spark only starts slower."""
    with tempfile.TemporaryDirectory(dir=LOCAL) as scratch:
        able = works([java_command(), f"-XX:ArchiveClassesAtExit={scratch}/classes.jsa", "-version"])
    if able:
        run("make Spark start faster", [PYTHON, "-m", "local.class_archive", LOCAL / "jars"])
    else:
        (LOCAL / "jars" / "classes.jsa").unlink(missing_ok=True)  # of another Java
        say("  this Java cannot keep loaded classes in an archive: Spark works, but starts slower")
    ARCHIVE_STAMP.write_text(wanted_archive())


def install_bucket_server() -> None:
    """Build the bucket stand-in."""
    BUCKET_SERVER.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=LOCAL) as scratch:
        run("build fake-gcs-server", ["go", "install", BUCKET_MODULE], {"GOBIN": scratch})
        (Path(scratch) / BUCKET_SERVER.name).replace(BUCKET_SERVER)


def works(command: list[object]) -> bool:
    """Whether a command exists and ends well."""
    try:
        return subprocess.run([str(part) for part in command], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(what: str, command: list[object], settings: dict[str, str] | None = None) -> None:
    """Run one command, saying what it does and how long it took; InstallError with its output if it fails."""
    say(f"  {what} ...")
    began = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command],
        cwd=REPO,
        env={**os.environ, **(settings or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InstallError(f"could not {what}:\n{done.stdout[-3000:]}")
    say(f"  {what}: {time.monotonic() - began:.0f} s")


def say(text: str) -> None:
    """Print a whole line, whichever thread speaks."""
    with _printing:
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
