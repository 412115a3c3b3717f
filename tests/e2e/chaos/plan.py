"""What happens in each cycle, by a seed: what is delivered, which run is asked for, what is killed and when. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tests.e2e.story import HEADER

FIRST_DAY = date(2026, 1, 1)
OLD_DAYS = 30
KEYS = 60
ROWS = 25
MOST_UPLOADS = 3
LONGEST_DELAY_SECONDS = 12.0
CALM_EVERY = 5
KINDS = ("new", "new", "late", "again", "replaced", "bad file", "bad rows")
RUNS = (None, "manual", "backfill", "reload")
VICTIMS = ("scheduler", "triggerer", "task", "databricks", "spark")


@dataclass(frozen=True)
class Upload:
    """A file as it is delivered. `kind` is for the report."""

    name: str
    text: str
    kind: str


@dataclass(frozen=True)
class Days:
    """Days that a run loads again."""

    first: date
    last: date


@dataclass(frozen=True)
class Cycle:
    """One cycle: uploads, a run beside the live one, and what is killed `delay` seconds later."""

    number: int
    uploads: tuple[Upload, ...]
    run: str | None
    days: Days
    victim: str
    delay: float
    ends_calm: bool


def cycles(seed: int, count: int) -> list[Cycle]:
    """The cycles of a seed; those of a smaller count are the first ones of a greater."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    found: list[Cycle] = []
    delivered: list[Upload] = []
    for number in range(1, count + 1):
        # Each of a day of its own: under one name most would be replaced before anything reads them.
        days = range(MOST_UPLOADS * number, MOST_UPLOADS * number + dice.randint(1, MOST_UPLOADS))
        uploads = [upload for day in days for upload in _uploads(dice, day, delivered)]
        delivered += uploads
        first = FIRST_DAY + timedelta(days=dice.randint(-OLD_DAYS, MOST_UPLOADS * number))
        days = Days(first, first + timedelta(days=dice.randint(0, 2)))
        run, victim = dice.choice(RUNS), dice.choice(VICTIMS)
        delay = dice.uniform(0, LONGEST_DELAY_SECONDS)
        found.append(Cycle(number, tuple(uploads), run, days, victim, delay, number % CALM_EVERY == 0))
    return found


def _uploads(dice: random.Random, day_number: int, delivered: Sequence[Upload]) -> list[Upload]:
    kind = dice.choice(KINDS)
    day = FIRST_DAY + timedelta(days=day_number)
    if kind == "late":
        day = FIRST_DAY - timedelta(days=dice.randint(1, OLD_DAYS))
    if kind == "again" and delivered:
        earlier = dice.choice(delivered)
        return [Upload(earlier.name, earlier.text, kind)]
    name = f"order_tracking_{day:%Y_%m_%d}.csv"
    if kind == "bad file":
        return [Upload(name, "neither,header,nor rows\n", kind)]
    times = 2 if kind == "replaced" else 1
    return [Upload(name, _text(dice, day, with_bad_rows=kind == "bad rows"), kind) for _ in range(times)]


def _text(dice: random.Random, day: date, *, with_bad_rows: bool) -> str:
    lines = []
    for row in range(ROWS):
        bad = with_bad_rows and row % 5 == 0
        key = "" if bad and row % 2 else f"C{dice.randint(1, KEYS)}"
        time = "no time" if bad and not row % 2 else f"{day} {dice.randint(0, 23):02d}:{dice.randint(0, 59):02d}:00"
        status = dice.choice(("IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED", 'SAID "HELLO"', "ZURÜCK"))
        quoted = status.replace('"', '""')
        lines.append(f'{dice.randint(1, 9999)},{key},{day},,"{quoted}",{row} Chaos St,{time}\n')
    return HEADER + "".join(lines)
