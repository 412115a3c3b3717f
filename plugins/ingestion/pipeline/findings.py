"""What checks of an environment find: a line for each thing, and what to do about those that are wrong."""

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

Level = Literal["ok", "warn", "FAIL", "skipped"]
T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """What was found of one thing. `text` says it, and for `warn` and `FAIL` what to do; for `skipped` why."""

    level: Level
    name: str
    text: str

    def __str__(self) -> str:
        said = " ".join(f"{self.name}: {self.text}".split())  # in one line, whatever others have to say
        return f"{self.level:<7}  {said}"


# What a check yields, and what it returns for those that depend on it.
Check = Generator[Finding, None, T]


def ok(name: str, text: str) -> Finding:
    """It is as it must be."""
    return Finding("ok", name, text)


def warn(name: str, text: str) -> Finding:
    """It works, but not as well as it should. The text says what to do."""
    return Finding("warn", name, text)


def fail(name: str, text: str) -> Finding:
    """It does not work. The text says what to do."""
    return Finding("FAIL", name, text)


def skipped(name: str, why: str) -> Finding:
    """It was not looked at."""
    return Finding("skipped", name, why)


def safely(name: str, check: Check[T]) -> Check[T | None]:
    """The check, whose own fault is a FAIL: neither the end of the others nor to be taken for ok.

    Returns what it returns, None if it has failed so.
    """
    is_silent = True
    try:
        with closing(check):
            while True:
                try:
                    finding = next(check)
                except StopIteration as end:
                    if is_silent:
                        yield fail(name, "the check has found nothing to say, which is its own fault: report it")
                    return end.value
                is_silent = False
                yield finding
    except Exception as error:  # whatever it is
        yield fail(name, f"the check itself has failed, mend what it says or report it ({described(error)})")
        return None


def described(error: BaseException) -> str:
    """An error for a line: its kind and what it says."""
    return f"{type(error).__name__}: {error}".rstrip(": .")


def totals(findings: Iterable[Finding]) -> str:
    """How many there are of each level, in words."""
    levels = [finding.level for finding in findings]
    return ", ".join(f"{levels.count(level)} {level}" for level in get_args(Level))
