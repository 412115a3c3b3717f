"""A check's own fault is a line that fails, whatever it is."""

from ingestion.pipeline.findings import Check, Finding, ok, safely, totals


def breaking() -> Check[int]:
    yield ok("first", "fine")
    raise KeyError("a bug")


def silent() -> Check[int]:
    yield from ()
    return 7


def right() -> Check[int]:
    yield ok("first", "fine")
    return 7


def returned(check: Check[int]) -> tuple[list[Finding], int | None]:
    def outer() -> Check[None]:
        values.append((yield from safely("of a test", check)))

    values: list[int | None] = []
    return list(outer()), values[0]


def test_what_a_check_says_and_returns_goes_through() -> None:
    assert returned(right()) == ([ok("first", "fine")], 7)


def test_a_bug_in_a_check_fails_and_does_not_end_the_others() -> None:
    (first, fault), value = returned(breaking())
    assert (first, value) == (ok("first", "fine"), None)
    assert str(fault).startswith("FAIL     of a test: the check itself has failed")
    assert "KeyError: 'a bug'" in fault.text


def test_a_check_that_says_nothing_is_not_ok() -> None:
    (finding,), value = returned(silent())
    assert (finding.level, finding.name, value) == ("FAIL", "of a test", 7)


def test_a_finding_is_one_line() -> None:
    assert str(Finding("warn", "a thing", "said\non  two lines")) == "warn     a thing: said on two lines"
    assert totals([ok("a", "b"), ok("c", "d"), Finding("FAIL", "e", "f")]) == "2 ok, 0 warn, 1 FAIL, 0 skipped"
