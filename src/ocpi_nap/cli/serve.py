"""`ocpi-nap serve`: the database and broker, the web workers, the process that renders, and the background process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
import uvloop

from ocpi_nap.app import BROKER_VARIABLE, DSN_VARIABLE, build_registry, start_log
from ocpi_nap.cli import rendering
from ocpi_nap.cli.children import Service, children, kept_alive, orphaned, stop_on_signal
from ocpi_nap.cli.context import check_vault, database_server, load_settings
from ocpi_nap.cli.errors import CliError
from ocpi_nap.cli.ports import base_url, check_port
from ocpi_nap.cli.wire import EnvelopingProtocol
from ocpi_nap.feed.events.broker import BrokerError, EmbeddedBroker
from ocpi_nap.feed.events.logwriter import EventLogWriter
from ocpi_nap.feed.events.mqtt import Publisher
from ocpi_nap.intake.handlers import RegistryJobHandlers
from ocpi_nap.intake.jobs import run_jobs
from ocpi_nap.intake.watch import watch_platforms
from ocpi_nap.settings import Settings
from ocpi_nap.store.database import Database

_PUBLISHER_VARIABLE = "_OCPI_NAP_PUBLISHER_URL"
_BEGINNING = 60
"""Seconds in which a worker must give a sign of life. Until its modules are loaded it gives none: on a busy machine it would be killed
again and again."""


def run(host: str, port: int, workers: int) -> None:
    """Start everything, serve until a signal, stop everything in order."""
    settings = load_settings()
    _check_folder()
    check_vault(settings)
    check_port(host, port)
    # One worker runs in this process, and the server raises the signal that ended it again: what is below must end in order all the same.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        dsn, postgres = stack.enter_context(database_server(settings))
        broker, publisher_url, nats = _broker(settings, stack)
        os.environ[DSN_VARIABLE], os.environ[BROKER_VARIABLE], os.environ[_PUBLISHER_VARIABLE] = dsn, broker, publisher_url
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="ocpi-nap-metrics-"))
        rendering.prepare(settings)
        services: list[Service | None] = [nats, *stack.enter_context(children("jobs", "feed")), postgres]  # the slowest to start comes last
        stack.enter_context(kept_alive(*(service for service in services if service is not None)))
        where = f"API under /api/charging-network/v1, OCPI under /ocpi, MQTT on {urlsplit(broker).netloc} and /mqtt"
        print(f"Serving on {base_url(host, port)} ({where})", flush=True)
        uvicorn.run(
            "ocpi_nap.app:create_app", factory=True, host=host, port=port, workers=workers, loop="uvloop", http=EnvelopingProtocol,
            ws="websockets-sansio", access_log=False, server_header=False, log_level="warning", timeout_graceful_shutdown=10,
            timeout_worker_healthcheck=_BEGINNING, ws_max_size=1 << 18, proxy_headers=False,
        )  # fmt: skip


def _check_folder() -> None:
    """Workers begin by entering the folder: where the user may not, as in root's home, they would die again and again."""
    try:
        os.chdir(Path.cwd())
    except OSError as error:
        raise CliError(f"The folder that it is started in cannot be entered: {error.strerror}.", "Start it in another one.") from None


def _broker(settings: Settings, stack: ExitStack) -> tuple[str, str, EmbeddedBroker | None]:
    """URL of the broker for readers, the one to publish with, and the embedded one, started, if it is that."""
    if settings.mqtt_url is not None:
        parts = urlsplit(settings.mqtt_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", settings.mqtt_url, None
    try:
        broker = stack.enter_context(EmbeddedBroker(settings.data_dir, host=settings.mqtt_host, port=settings.mqtt_port))
    except BrokerError as error:
        raise CliError(f"The MQTT broker did not start: {error}.", "OCPI_NAP_MQTT_PORT chooses another port (0: a free one).") from None
    return f"mqtt://{broker.host}:{broker.port}", broker.publisher_url, broker


def run_background() -> None:
    """The background process: pulls, jobs, the event log and the MQTT publisher."""
    settings = load_settings()
    start_log(settings)
    logging.getLogger("pgqueuer").setLevel(logging.WARNING)
    logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # what goes wrong the publisher says itself, once
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_background(settings, os.environ[DSN_VARIABLE], os.environ[_PUBLISHER_VARIABLE]))


async def _background(settings: Settings, dsn: str, publisher_url: str) -> None:
    stop, parent = stop_on_signal(), os.getppid()
    db = await Database.open(dsn, max_size=48)  # each pull that is under way holds one, the slow ones too
    client, registry = await build_registry(db, settings)
    publisher = Publisher(
        db, publisher_url, qos=settings.mqtt_qos, retain=settings.mqtt_retain, objects=settings.mqtt_objects,
        publish_environments=settings.environments,
    )  # fmt: skip
    tasks = (
        EventLogWriter(db, publish_environments=settings.environments).run(stop),
        publisher.run(stop),
        run_jobs(db, dsn, stop, RegistryJobHandlers(registry), change_days=settings.change_days),
        watch_platforms(db, stop),
        orphaned(parent, stop),
    )
    try:
        await asyncio.gather(*tasks)
    finally:
        await client.close()
        await db.close()
