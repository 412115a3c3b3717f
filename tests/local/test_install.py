"""The installer as a stranger's machine meets it: what is missing is named before anything is installed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local import install

REPO = Path(__file__).resolve().parents[2]


def program(folder: Path, name: str, output: str) -> None:
    """A program that only prints."""
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{output}'\necho '{output}' >&2\n")
    file.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A clone with nothing installed, and an empty folder `bin` to be its PATH."""
    clone = tmp_path / "clone"
    shutil.copytree(REPO / "local" / "jars", clone / "local" / "jars")
    shutil.copy(REPO / "local" / "install.py", clone / "local")
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(REPO / name, clone)
    (clone / "bin").mkdir()
    return clone


def run_install(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "local/install.py"],
        cwd=clone,
        env={"PATH": str(clone / "bin")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_everything_missing_is_named_at_once_and_nothing_is_installed(machine: Path) -> None:
    done = run_install(machine)
    assert done.returncode == 1
    assert re.search(r"- Java 17 or newer \(no java on the PATH\): `apt-get install", done.stdout)
    assert re.search(r"- Go 1.24 or newer \(no go on the PATH\)", done.stdout)
    assert not (machine / ".venv").exists()
    assert not (machine / ".local").exists()


def test_versions_too_old_are_named(machine: Path) -> None:
    program(machine / "bin", "java", 'openjdk version "11.0.2" 2019-01-15')
    program(machine / "bin", "go", "go version go1.22.4 linux/amd64")
    done = run_install(machine)
    assert re.search(r"Java 17 or newer \(.*/bin/java is 11\)", done.stdout)
    assert re.search(r"Go 1.24 or newer \(.*/bin/go is 1.22\)", done.stdout)


def test_java_home_is_what_counts_where_it_is_set(machine: Path) -> None:
    program(machine / "bin", "java", 'openjdk version "17.0.1" 2021-10-19')
    program(machine / "bin", "fake-gcs-server", "")
    done = run_install(machine, JAVA_HOME=str(machine / "nowhere"))
    assert "JAVA_HOME=" in done.stdout
    assert "has no bin/java" in done.stdout
    assert "- Go" not in done.stdout  # a fake-gcs-server on the PATH is enough


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_391"', 8),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
    ],
)
def test_java_version(text: str, version: int | None) -> None:
    assert install.java_version(text) == version


def test_an_old_python_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.sys, "version_info", (3, 10, 4))
    assert "is 3.10" in str(install.python_problem())
    monkeypatch.undo()
    assert install.python_problem() is None


def test_one_package_of_the_lock_with_its_hashes() -> None:
    lock = "a==1 \\\n    --hash=sha256:aa\nuv==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n    # via x\nz==3\n"
    assert install.locked_entry("uv", lock) == (
        "uv==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n    # via x\n"
    )
    with pytest.raises(install.InstallError, match="make lock"):
        install.locked_entry("v", lock)


def test_a_changed_lock_is_installed_again(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "REPO", machine)
    monkeypatch.setattr(install, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(install, "STAMP", machine / "stamp")
    assert not install.packages_are_current()
    (machine / "stamp").write_text(install.wanted_packages())
    assert install.packages_are_current()
    (machine / "requirements.lock").write_text("a==2\n")
    assert not install.packages_are_current()


def test_a_jar_that_is_not_the_expected_one_is_refused(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the network: Ivy is a program that delivers other bytes."""
    monkeypatch.setattr(install, "LOCAL", machine / ".local")

    def deliver(what: str, command: list[object], settings: dict[str, str] | None = None) -> None:
        folder = Path(str(command[-1])).parent
        for name in install.jar_checksums():
            (folder / name).write_bytes(b"something else")

    monkeypatch.setattr(install, "run", deliver)
    with pytest.raises(install.InstallError, match=r"delta-spark.*is not the expected file"):
        install.install_jars()
    assert install.missing_jars() == list(install.jar_checksums())


def test_everything_pinned_is_locked_at_that_version() -> None:
    pins = re.findall(r"^([a-z0-9-]+)(?:\[[a-z]+\])?==(\S+)", (REPO / "requirements.txt").read_text(), re.MULTILINE)
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (REPO / "requirements.lock").read_text(), re.MULTILINE))
    assert len(pins) > 15
    assert {name: version for name, version in pins if locked.get(name) != version} == {}


def test_the_jars_spark_is_started_with_are_the_ones_installed() -> None:
    from local.spark_server import JARS

    assert sorted(JARS) == sorted(install.jar_checksums())


def test_a_java_that_cannot_keep_classes_is_told_once_and_no_obstacle(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stands in for such a Java: a program that refuses the option as one does."""
    java = machine / "bin" / "java"
    refusal = 'case "$*" in *Archive*) exit 1;; esac'
    java.write_text(f"#!/bin/sh\n{refusal}\necho 'openjdk version \"17.0.2\"' >&2\n")
    java.chmod(0o755)
    jars = machine / ".local" / "jars"
    jars.mkdir(parents=True)
    (jars / "classes.jsa").write_text("of another Java")
    monkeypatch.setenv("PATH", f"{java.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(install, "LOCAL", machine / ".local")
    monkeypatch.setattr(install, "ARCHIVE_STAMP", jars / "classes.jsa.for")
    assert not install.archive_is_current()
    install.make_class_archive()
    assert "starts slower" in capsys.readouterr().out
    assert not (jars / "classes.jsa").exists()
    assert install.archive_is_current()
    program(java.parent, "java", 'openjdk version "21.0.1" 2023-10-17')
    assert not install.archive_is_current()


def test_an_archive_that_cannot_be_made_stops_the_installation(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a mistake of ours would be taken for a Java that cannot, and nobody would see it."""
    program(machine / "bin", "python", "")
    (machine / "bin" / "python").write_text("#!/bin/sh\necho a mistake\nexit 1\n")
    jars = machine / ".local" / "jars"
    jars.mkdir(parents=True)
    monkeypatch.setattr(install, "LOCAL", machine / ".local")
    monkeypatch.setattr(install, "PYTHON", machine / "bin" / "python")
    monkeypatch.setattr(install, "ARCHIVE_STAMP", jars / "classes.jsa.for")
    with pytest.raises(install.InstallError, match="could not make Spark start faster:\na mistake"):
        install.make_class_archive()
    assert not install.archive_is_current()


def test_a_complete_installation_is_found_complete() -> None:
    done = subprocess.run(
        [sys.executable, "local/install.py"], cwd=REPO, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
