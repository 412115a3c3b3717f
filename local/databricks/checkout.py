"""The scripts of a run from a Git repository, as of one commit."""

import asyncio
import os
import signal
from pathlib import Path

from local.databricks.models import GitSource

GIT_SECONDS = 600


class CheckoutError(Exception):
    """The repository cannot be had at the wanted place. The message is Git's own."""


async def checkout(source: GitSource, folder: Path) -> str:
    """Put the files of `source` into the new folder; returns the commit they are of. Raises CheckoutError."""
    folder.mkdir(parents=True)
    (ref,) = source.refs
    await _git(folder, "init", "--quiet")
    await _git(folder, "fetch", "--quiet", "--depth=1", "--no-tags", source.git_url, ref)
    await _git(folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    return await _git(folder, "rev-parse", "HEAD")


async def _git(folder: Path, *arguments: str) -> str:
    # Neither a question for a password nor a hook or a setting of the checkout this service runs in.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=folder,
        env=env | {"GIT_TERMINAL_PROMPT": "0"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(GIT_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise CheckoutError(f"git {arguments[0]} took more than {GIT_SECONDS} s") from error
    finally:
        if process.returncode is None:
            # With its helpers: they hold its pipes, and may wait for a server for minutes.
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        raise CheckoutError(errors.decode(errors="replace").strip() or f"git {arguments[0]} failed")
    return output.decode().strip()
