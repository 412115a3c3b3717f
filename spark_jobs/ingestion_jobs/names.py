"""SQL names and literals, quoted."""


def quoted(identifier: str) -> str:
    """One column name in backticks."""
    return f"`{identifier.replace('`', '``')}`"


def quoted_table(name: str) -> str:
    """`schema.table` or `catalog.schema.table` with each part in backticks."""
    return ".".join(quoted(part) for part in name.split("."))


def sql_string(value: str) -> str:
    """A SQL string literal.

    Without a `$`: Spark puts the values of variables, `${env:HOME}` say, into a statement before it looks for quotes.
    """
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\u0024")
    return f"'{escaped}'"
