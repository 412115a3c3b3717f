"""Apply each mutant of mutants.yaml to a copy of the project and see its test turn red.

A mutant whose code is no longer there, whose test fails without it, or whose test passes with it, fails this command.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

REPO = Path(__file__).resolve().parents[2]
PARTS = ("dags", "plugins", "spark_jobs", "local", "tests", "pyproject.toml")
PASSED, FAILED = 0, 1  # pytest's exit codes; any other is a broken run, not a verdict


class Mutant(BaseModel):
    """A sabotage: in `file`, the one occurrence of `find` becomes `replace`, and `test` must fail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    file: str
    find: str
    replace: str
    test: str


def copy_project(folder: Path) -> None:
    """Copy what tests need; what is installed is linked."""
    for part in PARTS:
        source = REPO / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    (folder / ".local").symlink_to(REPO / ".local")


def run_tests(folder: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    """Run these tests on the copy, its own packages before the installed ones."""
    path = os.pathsep.join(str(folder / part) for part in (".", "plugins", "spark_jobs"))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def verdict(folder: Path, mutant: Mutant) -> str | None:
    """Apply the mutant, run its test, undo it. None when the test noticed, else what went wrong."""
    path = folder / mutant.file
    sound = path.read_text()
    if sound.count(mutant.find) != 1:
        return f"{mutant.file} holds its code {sound.count(mutant.find)} times, not once"
    path.write_text(sound.replace(mutant.find, mutant.replace))
    try:
        result = run_tests(folder, [mutant.test])
    finally:
        path.write_text(sound)
    if result.returncode == FAILED:
        return None
    return f"pytest ended with {result.returncode}, not with a failed test:\n{result.stdout[-2000:]}"


def main() -> int:
    """Run all mutants and say what became of each."""
    content = yaml.safe_load((Path(__file__).parent / "mutants.yaml").read_text())
    mutants = TypeAdapter(list[Mutant]).validate_python(content)
    survivors = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_project(folder)
        sound = run_tests(folder, sorted({mutant.test for mutant in mutants}))
        if sound.returncode != PASSED:
            print(f"The tests fail without any mutant:\n{sound.stdout[-4000:]}{sound.stderr[-2000:]}")
            return 1
        for mutant in mutants:
            problem = verdict(folder, mutant)
            survivors += problem is not None
            print(
                f"{'caught' if problem is None else 'SURVIVED':9} {mutant.name:32} {problem or mutant.test}", flush=True
            )
    print(f"{len(mutants) - survivors} passed, {survivors} failed")
    return int(survivors > 0)


if __name__ == "__main__":
    raise SystemExit(main())
