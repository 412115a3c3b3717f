"""A reverse proxy in front of a server: it passes everything on as it is, but for the requests that a rule names.

It runs in a thread of the test process, which sets its rules and reads what came. What a client sees of a server that
is down, it sees through the proxy as well: a connection that is cut.
"""

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from urllib.parse import unquote

import psutil
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from tests.faults.rules import Answer, Change, Fault, Hold, Reset, Rule, Seen, Stall, Truncate

# Of one connection, not of the message (RFC 9110, 7.6.1); Host is the server's own name.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection", "host"}
_PIECE = 64 * 1024
_NEVER = 3600
_RELEASE_SECONDS = 120


class _CutError(Exception):
    """The client's connection is to be cut."""


class FaultProxy:
    """A proxy on a free port of loopback. `upstream` says, at each request, where the server is."""

    def __init__(self, upstream: Callable[[], str]) -> None:
        self._upstream = upstream
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._seen: list[Seen] = []
        self.port = 0

    @contextlib.contextmanager
    def running(self) -> Iterator["FaultProxy"]:
        """Listen in a thread of its own."""
        started = threading.Event()
        loop = asyncio.new_event_loop()
        ended = asyncio.Event()
        thread = threading.Thread(target=loop.run_until_complete, args=(self._serve(started, ended),), daemon=True)
        thread.start()
        assert started.wait(30)
        try:
            yield self
        finally:
            self.heal()
            loop.call_soon_threadsafe(ended.set)
            thread.join(30)

    def fail(self, method: str, path: str, *faults: Fault, times: int | None = 1) -> list[Rule]:
        """From now on the next requests of this kind meet these faults, one after the other, each so many times."""
        rules = [Rule(method, re.compile(path), fault, times) for fault in faults]
        with self._lock:
            self._rules += rules
        return rules

    def hold(self, method: str, path: str) -> Hold:
        """Keep the next request of this kind back."""
        hold = Hold()
        self.fail(method, path, hold)
        return hold

    def heal(self) -> None:
        """Forget all rules, and let go what is held."""
        with self._lock:
            rules, self._rules = self._rules, []
        for rule in rules:
            if isinstance(rule.fault, Hold):
                rule.fault.let_go()

    def seen(self, method: str, path: str) -> list[Seen]:
        """The requests of this kind so far."""
        with self._lock:
            return [item for item in self._seen if item.method == method and re.search(path, item.target)]

    def client_of(self, hold: Hold) -> psutil.Process:
        """The process whose request is held."""
        for connection in psutil.net_connections("tcp4"):
            if connection.laddr.port == hold.port and connection.raddr and connection.raddr.port == self.port:
                return psutil.Process(connection.pid)
        raise LookupError("the client of the held request is gone")

    async def _serve(self, started: threading.Event, ended: asyncio.Event) -> None:
        connector = TCPConnector(force_close=True, limit=0)  # a kept connection would outlive a restart of the server
        timeout = ClientTimeout(total=None)
        # Headers go on as they came; nothing is unpacked on the way.
        self._session = ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        async with self._session:
            server = web.Server(self._handle, keepalive_timeout=_NEVER, access_log=None)
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            (address,) = runner.addresses
            self.port = address[1]
            started.set()
            await ended.wait()
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        target = unquote(request.raw_path)
        with self._lock:
            rule = next((rule for rule in self._rules if rule.takes(request.method, target)), None)
            fault = rule.fault if rule else None
            self._seen.append(Seen(request.method, target, fault))
        try:
            return await self._answer(request, fault)
        except (_CutError, ClientError, ConnectionError) as error:
            _reset(request)
            raise asyncio.CancelledError from error  # ends the connection without a word in the log

    async def _answer(self, request: web.BaseRequest, fault: Fault | None) -> web.StreamResponse:
        match fault:
            case Answer():
                await request.read()
                headers = {"Content-Type": fault.content_type}
                return web.Response(status=fault.status, body=fault.body.encode(), headers=headers)
            case Reset():
                raise _CutError
            case Hold():
                fault.port = request.transport.get_extra_info("peername")[1]
                fault.reached.set()
                await asyncio.to_thread(fault.released.wait, _RELEASE_SECONDS)
                if fault.dropped:
                    raise _CutError
        return await self._pass_on(request, fault)

    async def _pass_on(self, request: web.BaseRequest, fault: Fault | None) -> web.StreamResponse:
        base = self._upstream()
        body: object = request.content if request.body_exists else None
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
        if isinstance(fault, Change):
            body = fault.body(await request.read())
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        async with self._session.request(
            request.method,
            URL(base + request.raw_path, encoded=True),
            data=body,
            headers=headers,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            allow_redirects=False,
        ) as answer:
            if isinstance(fault, Stall):
                await answer.read()
                while request.transport is not None and not request.transport.is_closing():
                    await asyncio.sleep(0.1)
                raise _CutError
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    # The server knows itself only by its own address: what it sends its clients to is here.
                    response.headers.add(name, value.replace(base, f"http://127.0.0.1:{self.port}"))
            if isinstance(fault, Truncate):
                return await _half(request, response, await answer.read())
            await response.prepare(request)
            async for piece in answer.content.iter_chunked(_PIECE):
                await response.write(piece)
            await response.write_eof()
            return response


async def _half(request: web.BaseRequest, response: web.StreamResponse, body: bytes) -> web.StreamResponse:
    if not body:
        raise _CutError
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    # Closed, not reset: a reset takes what the client has not read yet with it.
    if request.transport is not None:
        request.transport.close()
    return response


def _reset(request: web.BaseRequest) -> None:
    """End the connection as a server that dies does: with a reset, not with a polite end."""
    if request.transport is None:
        return
    connection: socket.socket = request.transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
