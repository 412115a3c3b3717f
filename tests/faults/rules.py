"""What a fault proxy may do to a request, and the rules that say to which."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """Answer at once; the server behind sees nothing of the request."""

    status: int
    body: str
    content_type: str = "application/json"


@dataclass(frozen=True)
class Pass:
    """Pass it on: a rule's turn for a request that is to meet nothing."""


@dataclass(frozen=True)
class Reset:
    """Cut the connection; the server behind sees nothing of the request."""


@dataclass(frozen=True)
class Truncate:
    """Have the request carried out, announce the whole answer, send half of it and cut the connection.

    Of an answer without a body nothing is sent.
    """


@dataclass(frozen=True)
class Stall:
    """Have the request carried out, and keep its answer until the client gives up."""


@dataclass(frozen=True)
class Change:
    """Pass another body on than the client has sent."""

    body: Callable[[bytes], bytes]


@dataclass
class Hold:
    """Keep the request back until it is dropped, because its client was killed, or let go.

    `reached` is set as soon as a request is held, `port` is then the client's end of the connection.
    """

    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    dropped: bool = False

    def let_go(self) -> None:
        """Pass the request on."""
        self.released.set()

    def drop(self) -> None:
        """Let the server behind never see the request."""
        self.dropped = True
        self.released.set()


Fault = Answer | Pass | Reset | Truncate | Stall | Change | Hold


@dataclass
class Rule:
    """Which requests meet a fault: by method and a pattern found in the decoded path and query; `left` times or always.

    `met` counts those that did.
    """

    method: str
    path: re.Pattern[str]
    fault: Fault
    left: int | None
    met: int = 0

    def takes(self, method: str, target: str) -> bool:
        """Whether this request is the rule's, which is then counted."""
        if self.left == 0 or method != self.method or not self.path.search(target):
            return False
        self.met += 1
        self.left = None if self.left is None else self.left - 1
        return True


@dataclass
class Seen:
    """A request as it came, its path and query decoded; the fault that it met."""

    method: str
    target: str
    fault: Fault | None
