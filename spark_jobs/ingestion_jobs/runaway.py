"""Finding records that took whole rows into themselves.

A quote that is opened and not closed makes the parser read on, over line ends, to the next quote or the end of the
file. The record it gets may have the right number of fields, and then nothing reports it, while the rows inside it are
lost. A good field may hold newlines too, so the sign is another: a line of the record that is a complete row by itself.
"""

from pyspark.sql import Column
from pyspark.sql import functions as sf

from ingestion_jobs.manifest import Feed
from ingestion_jobs.names import quoted
from ingestion_jobs.typing_rules import trimmed, typed

_QUOTED = '"[^"]*"'
_STANDS_FOR_QUOTED = "q"


def swallowed_lines(feed: Feed, header: tuple[str, ...], corrupt: str) -> Column:
    """How many lines a record took in after its own, 0 for a good one. `corrupt` names the parser's text's column."""
    fields = [sf.coalesce(sf.col(quoted(name)), sf.lit("")) for name in header]
    text = sf.coalesce(sf.col(corrupt), sf.concat_ws(feed.delimiter, *fields))
    lines = sf.split(text, "\n")
    later = sf.slice(lines, sf.lit(2), sf.size(lines))
    before = header.index(feed.order_by)
    after = len(header) - 1 - before

    def has_order_by(line: Column, from_end: bool) -> Column:
        # Quoted fields first: their delimiters separate nothing.
        pieces = sf.split(sf.regexp_replace(line, _QUOTED, _STANDS_FOR_QUOTED), f"\\Q{feed.delimiter}\\E")
        piece = sf.get(pieces, sf.size(pieces) - 1 - after if from_end else sf.lit(before))
        return (sf.size(pieces) >= len(header)) & _may_be_order_by(piece, pieces, feed, len(header))

    # In a good record the first line ends, and each later one begins, inside a field of free text. Counted from that
    # side, the place of the order column holds one of its values only in a line that is a whole row.
    runaway = has_order_by(lines[0], from_end=True) | sf.exists(later, lambda line: has_order_by(line, from_end=False))
    count = sf.size(sf.filter(later, lambda line: trimmed(line).isNotNull()))
    # A corrupt record is bad anyhow, and its reader should know how much of the file it took.
    return sf.when(text.contains("\n") & (sf.col(corrupt).isNotNull() | runaway), count).otherwise(0)


def _may_be_order_by(piece: Column, pieces: Column, feed: Feed, fields: int) -> Column:
    column = feed.column(feed.order_by)
    if column.type == "string":
        return sf.size(pieces) == fields  # any text is a value, so the number of fields must do
    return typed(trimmed(piece), column, feed.time_zone).isNotNull() | (piece == _STANDS_FOR_QUOTED)
