"""One check from beginning to end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from ocpi_nap.checker.lists import check_lists
from ocpi_nap.checker.recorder import Recorder
from ocpi_nap.checker.registration import Wait, check_registration
from ocpi_nap.checker.state import Host, Options, Run, Sleep
from ocpi_nap.checker.transport import check_transport
from ocpi_nap.checker.versions import check_tokens, check_versions
from ocpi_nap.ocpi.client import OcpiClient

_LONG = 5.0


async def check(
    options: Options, host: Host, *, say: Callable[[str], None] = lambda text: None,
    sleep: Sleep = asyncio.sleep, wait: Wait = asyncio.sleep,
) -> Run:  # fmt: skip
    """Walk through the platform; what was found is in the run. ``host`` serves our side of a registration, ``sleep`` waits between
    attempts, ``wait`` while listening. Never raises for what the platform does."""
    recorder = Recorder()
    client = await OcpiClient.open(recorder)

    async def told(seconds: float) -> None:
        if seconds >= _LONG:
            say(f"Waiting {seconds:.0f} seconds before the next attempt")
        await sleep(seconds)

    run = Run(options, client, recorder, say=say, sleep=told, token=options.token)
    for secret in (options.token, *options.settings.extra_headers.values()):
        run.mask.add(secret)
    try:
        run.say(f"Asking {options.versions_url} for versions")
        if await check_versions(run):
            await check_tokens(run)
            if options.register:
                await check_registration(run, host, wait)
            else:
                await check_lists(run)
        check_transport(run)
    finally:
        with contextlib.suppress(Exception):
            await client.close()
    return run
