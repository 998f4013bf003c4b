"""The composition root: which room gets what, the routes, and the life of a worker."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Receive, Scope, Send

from ocpi_nap.feed.api import ApiOptions, create_api
from ocpi_nap.feed.datex2.common import DatexOptions
from ocpi_nap.feed.events.relay import MqttRelay
from ocpi_nap.feed.limits import Limits, read_networks
from ocpi_nap.feed.terms import Terms, read_sunsets
from ocpi_nap.intake.contacts import CountingAuthenticator
from ocpi_nap.intake.flushing import flush_regularly
from ocpi_nap.intake.issuelog import IssueLog
from ocpi_nap.intake.jobs import RepairQueue
from ocpi_nap.intake.receiver import ReceiverService
from ocpi_nap.intake.writer import PushWriter
from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.ocpi.credentials import OwnIdentity
from ocpi_nap.ocpi.routes import OcpiApp, OcpiOptions
from ocpi_nap.registry import Registry
from ocpi_nap.registry.auth import TokenAuthenticator
from ocpi_nap.registry.hints import Hints
from ocpi_nap.registry.receiving import CredentialsService
from ocpi_nap.registry.vault import Vault
from ocpi_nap.settings import Settings
from ocpi_nap.store.database import OUTAGES, Database
from ocpi_nap.web.context import OidcOptions, SiteOptions
from ocpi_nap.web.site import create_site, serves

log = logging.getLogger(__name__)

DSN_VARIABLE = "_OCPI_NAP_WORKER_DSN"
BROKER_VARIABLE = "_OCPI_NAP_WORKER_BROKER"


def collect_garbage_rarely() -> None:
    """Thousands of objects live for the length of a batch: the default thresholds would traverse them for half of the CPU time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def end_with_parent() -> None:
    """A worker whose `serve` was killed must not keep the port: the kernel sends it SIGTERM."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def on_exit_signal(act: Callable[[], None]) -> None:
    """Act on SIGTERM and SIGINT before the server does: it waits for open answers, and event streams never end by themselves."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def handle(number: int, frame: Any, before: Any = before) -> None:
            loop.call_soon_threadsafe(act)
            if callable(before):
                before(number, frame)

        signal.signal(number, handle)


def start_log(settings: Settings, *, otherwise: str = "INFO") -> None:
    """Log to standard error, at the level of the settings where they name one."""
    level = settings.log_level if "log_level" in settings.model_fields_set else otherwise
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def identity(settings: Settings) -> OwnIdentity:
    """Who we are, with full business details (field lessons 4)."""
    logo = settings.business_logo or settings.public_url + "/swagger/favicon-32x32.png"
    details = {
        "name": settings.business_name,
        "website": settings.business_website or settings.public_url,
        "logo": {"url": logo, "thumbnail": logo, "category": "OPERATOR", "type": "png", "width": 32, "height": 32},
    }
    return OwnIdentity(settings.versions_url, settings.country_code, settings.party_id, details)


def site_options(settings: Settings) -> SiteOptions:
    """What the settings decide about the pages."""
    oidc = None
    if settings.oidc_issuer:
        oidc = OidcOptions(
            settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret, settings.oidc_title, settings.oidc_scope,
            settings.oidc_role_claim, settings.claims_by_role,
        )  # fmt: skip
    return SiteOptions(
        public_url=settings.public_url, site_name=settings.business_name, onboarding=settings.onboarding,
        publish_environments=settings.environments, oidc=oidc, datex=datex_options(settings),
        map_tiles=settings.map_tiles, map_attribution=settings.map_attribution, trusted_proxies=read_networks(settings.trusted_proxies),
    )  # fmt: skip


def datex_options(settings: Settings) -> DatexOptions:
    """Who publishes: our own country and party; with nothing but test platforms it is a sandbox."""
    return DatexOptions(
        country=settings.country_code, national_identifier=settings.party_id, language=settings.datex_language,
        text_language=settings.text_language, sandbox=settings.environments == ("test",),
    )  # fmt: skip


async def build_registry(db: Database, settings: Settings) -> tuple[OcpiClient, Registry]:
    """The OCPI client and the registry of this process."""
    client = await OcpiClient.open()
    vault, own = Vault.open(settings.data_dir), identity(settings)
    return client, Registry(db, vault, client, own, settings.allow_private_networks, settings.where)


def api_limits(settings: Settings) -> Limits:
    """Whose requests are limited, and how far."""
    trusted = read_networks(settings.trusted_proxies)
    return Limits(settings.rate_limit, settings.rate_limit_anonymous, settings.rate_limit_named, trusted)


def api_options(settings: Settings) -> ApiOptions:
    """What the settings say about the public API."""
    terms = Terms(
        settings.licence_url, settings.source_url or settings.public_url, settings.source_name or settings.business_name,
        read_sunsets(settings.deprecated_paths),
    )  # fmt: skip
    return ApiOptions(
        publish_environments=settings.environments, strict_gzip=settings.strict_gzip, bulk_seconds=settings.bulk_seconds,
        stream_listeners=settings.stream_listeners,
        limits=api_limits(settings), terms=terms,
    )  # fmt: skip


class App:
    """One worker's ASGI application: OCPI under /ocpi, MQTT over WebSocket at /mqtt, pages for people, the public API for the rest."""

    def __init__(self, settings: Settings, dsn: str, broker: str) -> None:
        self._settings = settings
        self._dsn = dsn
        self._relay = MqttRelay(broker)
        self._ocpi: Any = None
        self._api: Any = None
        self._site: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path: str = scope["path"]
        if scope["type"] == "websocket":
            await self._relay(scope, receive, send)
        elif path.startswith("/ocpi/") or path == "/ocpi":
            await self._ocpi(scope, receive, send)
        elif serves(path):
            await self._site(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self._running():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            log.exception("the worker could not start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        settings = self._settings
        db = await Database.open(self._dsn, min_size=2, max_size=12)
        client, registry = await build_registry(db, settings)
        issues, writer, authenticator = IssueLog(db), PushWriter(db), TokenAuthenticator(db, Hints(db, registry.vault))
        counting = CountingAuthenticator(authenticator, db)
        receiver = ReceiverService(db, writer, issues, RepairQueue(db), registry.area)
        party = (settings.country_code.upper(), settings.party_id.upper())
        options = OcpiOptions("/ocpi", settings.ocpi_url, *party, settings.max_body_bytes, OUTAGES)
        self._ocpi = OcpiApp(counting, CredentialsService(registry), receiver, options)
        self._api = create_api(db, settings.feed_dir, options=api_options(settings))
        self._site = create_site(db, registry, site_options(settings))
        self._relay.limit(db, api_limits(settings), settings.mqtt_connections_per_minute)
        on_exit_signal(self._end_streams)
        stop = asyncio.Event()
        flushing = asyncio.create_task(flush_regularly(stop, issues.flush, counting.flush))
        tasks = [asyncio.create_task(task) for task in (writer.run(), authenticator.run())]
        following = asyncio.create_task(self._site.state.map.live.run())
        try:
            yield
        finally:
            self._site.state.map.live.close()
            stop.set()
            await flushing
            for task in (*tasks, following):
                task.cancel()
            await asyncio.gather(*tasks, following, return_exceptions=True)
            await client.close()
            await db.close()

    def _end_streams(self) -> None:
        """Those of the public API and those of open maps."""
        self._api.state.end_streams()
        self._site.state.map.live.close()


def create_app() -> App:
    """Factory for the server's worker processes: `serve` hands the DSN and the broker's URL over in the environment."""
    end_with_parent()
    collect_garbage_rarely()
    settings = Settings()
    start_log(settings)
    return App(settings, os.environ[DSN_VARIABLE], os.environ[BROKER_VARIABLE])
