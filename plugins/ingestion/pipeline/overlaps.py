"""Names that two feeds would take, found by examples: names made from each pattern, held against the others.

Patterns may look ahead, which no theory of their languages covers. So an overlap that is told is one, with a name to
show it; one that no example meets is not told. Nothing is lost then either: see `Feed.is_contested`.
"""

import re
from collections.abc import Mapping
from itertools import islice, permutations, takewhile
from pathlib import Path
from random import Random
from re import _compiler, _parser  # type: ignore[attr-defined]  # the one thing that can read every pattern
from typing import Any

from ingestion.pipeline import file_names
from ingestion.pipeline.feeds import Feed

# So many texts are gone on with after each part of a pattern.
MOST = 200
LETTERS = [*"x1_-. 0", *(chr(number) for number in range(ord("!"), 0x250))]


def overlaps(feeds: Mapping[Path, Feed]) -> dict[tuple[Path, Path], str]:
    """The pairs of files whose feeds would take the same names, each with one that both take."""
    plain = {path: _examples(feed, []) for path, feed in feeds.items()}
    starts = {path: _start(feed) for path, feed in feeds.items()}
    found: dict[tuple[Path, Path], str] = {}
    for (one, feed), (other, its_feed) in permutations(feeds.items(), 2):
        first, second = sorted((one, other))
        # The usual case, and what keeps many feeds quick.
        apart = not starts[one].startswith(starts[other]) and not starts[other].startswith(starts[one])
        if apart or feed.prefix != its_feed.prefix or (first, second) in found:
            continue
        for name in _examples(feed, _pieces(plain[other])):
            if its_feed.match(feed.prefix + name):
                found[first, second] = feed.prefix + name
                break
    return found


def _start(feed: Feed) -> str:
    """The text with which every name of the feed begins, whatever its capitals."""
    letters = takewhile(lambda part: part[0].name == "LITERAL", _parser.parse(feed.pattern))
    return "".join(chr(letter) for _, letter in letters).casefold()


def _examples(feed: Feed, words: list[str]) -> list[str]:
    """Names that fit the feed's pattern, with these words where anything may stand."""
    pattern = file_names.compiled(feed.pattern, feed.ignore_case)
    texts = _texts(_parser.parse(feed.pattern, pattern.flags & re.IGNORECASE), words)
    return [text for text in texts if "/" not in text and pattern.fullmatch(text)]


def _pieces(names: list[str]) -> list[str]:
    """Every run of words, numbers and signs in the first few names."""
    found: dict[str, None] = {}
    for name in names[:2]:
        tokens = re.findall(r"[^\W\d_]+|\d+|.", name)
        found |= {"".join(tokens[start:end]): None for end in range(len(tokens) + 1) for start in range(end)}
    return list(found)


def _texts(pattern: Any, words: list[str]) -> list[str]:  # noqa: ANN401 - a parse tree of `re`, which has no types
    """Texts that the parts of a parsed pattern may be, one after the other."""
    texts = [""]
    for part in pattern:
        texts = [text + more for text in texts for more in _choices(pattern.state, part, words)]
        if len(texts) > MOST:
            texts = [texts[0], *Random(0).sample(texts[1:], MOST - 1)]  # noqa: S311 - the same ones each time
    return texts


def _choices(state: Any, part: tuple[Any, Any], words: list[str]) -> list[str]:  # noqa: ANN401
    """Texts that one part may be. What only looks around is no text: a name is held against the whole pattern later."""
    kind, argument = part
    alone = _parser.SubPattern(state, [part])
    match kind.name:
        case "LITERAL":
            return [chr(argument)]
        case "IN" | "ANY" | "NOT_LITERAL":
            fits = _compiler.compile(alone).fullmatch
            return list(islice(filter(fits, LETTERS), 2))
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, body = argument
            copies = [text * count for count in (least, min(least + 1, most)) for text in _texts(body, words)]
            fits = _compiler.compile(alone).fullmatch
            return list(dict.fromkeys([*copies, *(word for word in words if fits(word))]))
        case "SUBPATTERN":
            return _texts(argument[-1], words)
        case "ATOMIC_GROUP":
            return _texts(argument, words)
        case "BRANCH" | "GROUPREF_EXISTS":
            branches = argument[1] if kind.name == "BRANCH" else [branch or [] for branch in argument[1:]]
            return [text for branch in branches for text in _texts(branch, words)]
        case _:
            return [""]
