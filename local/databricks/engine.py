"""What the service knows about the Spark Connect server: whether it answers, and how to end a session on it."""

import asyncio
import logging
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
from pyspark.sql.connect.proto import ReleaseSessionRequest, SparkConnectServiceStub, UserContext

log = logging.getLogger(__name__)

USER = "databricks"
PROBE_SECONDS = 1
RELEASE_SECONDS = 10


class Engine:
    """The Spark Connect server at `remote` ("sc://host:port")."""

    def __init__(self, remote: str) -> None:
        address = urlsplit(remote)
        if address.scheme != "sc" or not address.hostname or not address.port or address.path.strip("/"):
            raise ValueError(f"the Spark server's address must look like sc://127.0.0.1:15002, not {remote!r}")
        self.host, self.port = address.hostname, address.port

    def __str__(self) -> str:
        return f"Spark server at {self.host}:{self.port}"

    def session_url(self, session_id: str) -> str:
        """The value of SPARK_REMOTE for a process that shall own the session `session_id`."""
        return f"sc://{self.host}:{self.port}/;session_id={session_id};user_id={USER}"

    def new_session_id(self) -> str:
        """An id no session had before; the session itself begins with its first request."""
        return str(uuid4())

    async def alive(self) -> bool:
        """Whether the server takes connections. A refusal is final, silence is asked twice: the machine may be busy."""
        for _ in range(2):
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(self.host, self.port), 2 * PROBE_SECONDS)
            except TimeoutError:
                continue
            except OSError:
                return False
            writer.close()
            return True
        return False

    async def death(self) -> None:
        """Return once the server takes no more connections. A client of a dead server would retry for many minutes."""
        while await self.alive():
            await asyncio.sleep(PROBE_SECONDS)

    async def release(self, session_id: str) -> None:
        """Stop what the session runs and forget it. A session that cannot be released is reported, not raised."""
        request = ReleaseSessionRequest(session_id=session_id, user_context=UserContext(user_id=USER))
        # A proxy set in the environment is not for this machine's own servers.
        options = [("grpc.enable_http_proxy", 0)]
        async with grpc.aio.insecure_channel(f"{self.host}:{self.port}", options) as channel:
            try:
                await SparkConnectServiceStub(channel).ReleaseSession(request, timeout=RELEASE_SECONDS)
            except grpc.aio.AioRpcError as error:
                log.warning("session %s was not released on the %s: %s", session_id, self, error.details())
