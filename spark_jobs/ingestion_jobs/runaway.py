"""Finding records that took whole rows into themselves.

A quote that is opened and not closed makes the parser read on, over line ends, to a later quote or the end of the file.
The record it gets may have the right number of fields, and then nothing reports it, while the rows inside it are lost.

A good field may hold line ends too. But in a record with the right number of fields, a field that ran away over its
row's end holds what is left of that row, then perhaps whole rows, then the beginning of another row up to the same
column, mostly to the quote that opens it there. So one of its lines has the order column at its place, counted from its
end if that column comes behind the field and else from its beginning, or its last line ends with that quote.

Where the later quote opens a field of several lines, the record ends with the first of them. The parser then takes the
whole for a field without quotes, which leaves it with the quote it began with.
"""

from pyspark.sql import Column
from pyspark.sql import functions as sf

from ingestion_jobs.manifest import Feed
from ingestion_jobs.typing_rules import BLANKS, trimmed, typed

# Finding the delimiters outside of quotes takes the square of a line's length.
LONGEST_ROW = 20_000


def swallowed_lines(feed: Feed, fields: tuple[str, ...], row: Column, corrupt: Column) -> Column:
    """How many lines a record took in after its own, 0 for a good one.

    `row` is a struct with the fields' texts by name, `corrupt` the parser's text of a record of another number of
    fields. One expression serves all fields: to plan one for each costs more than the rows of a small batch.
    """
    if not feed.csv.quote:
        return sf.lit(0)
    of_fields = sf.transform(
        sf.array(*(row[name] for name in fields)),
        lambda text, place: sf.when(_ran_away(text, place, fields, feed), _later_lines(text)),
    )
    # A corrupt record is bad anyhow, and its reader should know how much of the file it took.
    found = sf.coalesce(sf.array_max(of_fields), sf.lit(0))
    return sf.when(corrupt.isNotNull(), _later_lines(corrupt)).otherwise(found)


def _later_lines(text: Column) -> Column:
    return sf.size(sf.filter(sf.split(text, "\n"), lambda line: trimmed(line).isNotNull())) - 1


def _ran_away(text: Column, place: Column, fields: tuple[str, ...], feed: Feed) -> Column:
    """Whether the lines of the field at `place` are the end of one row and the beginning of another."""
    lines = sf.split(text, "\n")
    quote = feed.csv.quote
    delimiter = f"\\Q{feed.csv.delimiter}\\E"
    # Possessive, for Java's other repetitions of a group are recursive.
    others = rf"[^\Q{quote}\E]*+"
    unquoted = rf"{delimiter}(?=(?:{others}\Q{quote}\E{others}\Q{quote}\E)*+{others}$)"

    def has_order_by(line: Column) -> Column:
        # Delimiters in quotes separate nothing; but which quotes belong together is not sure here, so both are tried.
        is_short = sf.length(line) <= LONGEST_ROW
        cuts = sf.array(sf.split(line, delimiter), sf.when(is_short, sf.split(line, unquoted)))
        return sf.exists(cuts, lambda pieces: _has_order_by(pieces, place, fields, feed))

    first = sf.when(place <= fields.index(feed.order_by), 1).otherwise(2)
    sides = sf.slice(lines, first, sf.size(lines) - 1)
    last = sf.split(sf.element_at(lines, -1), delimiter)
    opens_earlier = (sf.size(last) <= place) & text.startswith(quote)
    opens_again = ((sf.size(last) == place + 1) | opens_earlier) & sf.element_at(last, -1).startswith(quote)
    return (sf.size(lines) > 1) & (sf.exists(sides, has_order_by) | opens_again)


def _has_order_by(pieces: Column, place: Column, fields: tuple[str, ...], feed: Feed) -> Column:
    """Whether the pieces of a line have the order column at its place.

    The line is the end of a row, from the field at `place` on, or the beginning of one.
    """
    order_by = fields.index(feed.order_by)
    is_end = place <= order_by
    piece = sf.get(pieces, sf.when(is_end, sf.size(pieces) - (len(fields) - order_by)).otherwise(order_by))
    is_whole = sf.when(is_end, sf.size(pieces) >= len(fields) - place).otherwise(sf.size(pieces) > place)
    return is_whole & _is_order_by(piece, feed)


def _is_order_by(piece: Column, feed: Feed) -> Column:
    column = feed.column(feed.order_by)
    text = sf.nullif(sf.btrim(piece, sf.lit(BLANKS + feed.csv.quote)), sf.lit(""))
    return typed(text, column, feed.time_zone).isNotNull()
