"""The scenarios, each with what it shows. README.md says it at length."""

import os
from collections.abc import Callable, Iterable

from bench.cold import from_new_process
from bench.content import Content, content_of, content_of_table, merged
from bench.data import Batch, Keys, as_utc, bulk_rows, stale_rows, with_duplicates, write_batch
from bench.delta_rs import DeltaRs
from bench.dlt_peer import Dlt
from bench.harness import Case, Result, Run, guarded, tell
from bench.lab import Lab
from bench.peer import Peer, Seconds
from bench.sizes import Merge

_DUPLICATES = 0.2


def daily(lab: Lab) -> Iterable[Case]:
    """S1: a small daily file, from nothing and warm."""
    yield _cold(lab)
    yield _merge(lab, "S1 warm", "a small daily file, recent keys", lab.size.daily, "recent")


def bulk(lab: Lab) -> Iterable[Case]:
    """S2: staging alone."""
    stagers = lab.stagers()
    for rows, files in lab.size.stages:
        batch = write_batch(lab.folder / "input", f"bulk_{rows}_{files}", bulk_rows(rows), files)
        title = f"stage {rows:,} rows in {files} file{'s' if files > 1 else ''}"
        facts = {"rows": rows, "files": files, "csv_bytes": batch.bytes}
        case = Case(f"S2 {rows} in {files}", title, facts)
        yield lab.harness.stages(case, stagers, batch, content_of(as_utc(batch.rows)))
        for file in batch.files:
            file.unlink()


def headline(lab: Lab) -> Iterable[Case]:
    """A day's file into a middling target, as the project's goals state it."""
    for keys in ("recent", "scattered"):
        yield _merge(lab, f"headline {keys}", f"a day's file, {keys} keys", lab.size.headline, keys)


def recent(lab: Lab) -> Iterable[Case]:
    """S3: recent keys into a large target ordered by key: of its files one is concerned."""
    yield _merge(lab, "S3", "recent keys into ordered files", lab.size.ordered, "recent")


def scattered(lab: Lab) -> Iterable[Case]:
    """S4: keys all over a large target: every file is concerned."""
    yield _merge(lab, "S4", "scattered keys", lab.size.ordered, "scattered")


def again(lab: Lab) -> Iterable[Case]:
    """S6: loads of which little or nothing is new."""
    of = lab.size.again
    target, batch = lab.target(of), lab.batch(of, "recent")
    peers = lab.peers(target)
    after = merged(target.parts(), target.content, batch.rows)
    late = write_batch(lab.folder / "input", f"{batch.name}_late", stale_rows(batch.rows))
    double = write_batch(lab.folder / "input", f"{batch.name}_double", with_duplicates(batch.rows, _DUPLICATES))
    merges = lab.harness.merges
    yield merges(lab.case("S6 repeat", "the merge of a merged batch again", of, batch), peers, None, after, batch)
    yield merges(lab.case("S6 again", "the same files as a new batch", of, batch), peers, batch, after, batch)
    yield merges(lab.case("S6 late", "an older batch late: every row is stale", of, late), peers, late, after, batch)
    want = merged(target.parts(), target.content, double.rows)
    yield merges(
        lab.case("S6 duplicates", "20 % of the rows are older rows of keys it has", of, double), peers, double, want
    )


def wide(lab: Lab) -> Iterable[Case]:
    """Files of many columns: 500 of few rows, 80 of many."""
    for of in lab.size.wide:
        yield _merge(lab, f"wide {of.width}", f"files of {of.width} columns", of, "recent")


SCENARIOS: dict[str, Callable[[Lab], Iterable[Case]]] = {
    "S1": daily,
    "S2": bulk,
    "headline": headline,
    "S3": recent,
    "S4": scattered,
    "S6": again,
    "wide": wide,
}


def _merge(lab: Lab, id_: str, title: str, of: Merge, keys: Keys) -> Case:
    target, batch = lab.target(of), lab.batch(of, keys)
    want = merged(target.parts(), target.content, batch.rows)
    title = f"{title}: {of.batch:,} rows into {of.target:,} in {of.files} files"
    return lab.harness.merges(lab.case(id_, title, of, batch), lab.peers(target), batch, want)


def _cold(lab: Lab) -> Case:
    """Each load is the first of its server or process; nothing is discarded."""
    of = lab.size.daily
    target, batch = lab.target(of), lab.batch(of, "recent")
    want = merged(target.parts(), target.content, batch.rows)
    case = lab.case("S1 cold", "the same from nothing: server or process started for it", of, batch)
    peers = lab.peers(target)
    case.results = [Result(peer.name, peer.why) for peer in peers]
    for _ in range(lab.size.cold_rounds):
        for peer in peers:
            peer.reset()  # by a server that is not the one that is timed
        for peer, result in zip(peers, case.results, strict=True):
            guarded(peer, result, lambda peer, result, _: _load_cold(lab, peer, result, batch), want, False)
    lab.server.start()
    lab.harness.server_is_fresh = True
    tell(case)
    return case


def _load_cold(lab: Lab, peer: Peer, result: Result, batch: Batch) -> Content:
    with lab.harness.observed(peer, result):
        os.sync()
        load = os.getloadavg()[0]
        result.runs.append(Run(_from_nothing(lab, peer, batch), load))
    return content_of_table(peer.table)


def _from_nothing(lab: Lab, peer: Peer, batch: Batch) -> Seconds:
    if isinstance(peer, DeltaRs | Dlt):
        return from_new_process(peer.kind, peer.folder, batch)
    return {"start": lab.server.start(), **peer.load(batch)}
