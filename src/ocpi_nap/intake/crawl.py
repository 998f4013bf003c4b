"""Pulling a platform's locations and tariffs, and reconciling what we hold with what it still has (R111–R136, R173–R177)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from prometheus_client import Counter

from ocpi_nap.intake.batches import write_apart
from ocpi_nap.intake.connection import Connection
from ocpi_nap.intake.issuelog import IssueLog
from ocpi_nap.intake.operations import Context, Module, Operation, cleaned, prepare_put
from ocpi_nap.intake.owner import UNKNOWN_PARTY, owner, stated_owner
from ocpi_nap.intake.requests import Requests
from ocpi_nap.model import jsontext
from ocpi_nap.model.areas import Area
from ocpi_nap.model.issues import Issue
from ocpi_nap.model.platform import Party, Platform
from ocpi_nap.ocpi.client import OcpiClient, Peer
from ocpi_nap.ocpi.errors import OcpiError
from ocpi_nap.ocpi.paging import LARGEST_OBJECT, Crawler, CrawlFailed
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.registry.outcomes import RegistryError
from ocpi_nap.store import crawls, locks
from ocpi_nap.store.crawls import Known
from ocpi_nap.store.database import Conn, Database
from ocpi_nap.store.registry import note_pull
from ocpi_nap.store.rows import LocationKey

log = logging.getLogger(__name__)

_PULLED = Counter("ocpi_nap_pulled_objects_total", "Objects met in pulls", ["platform", "module", "outcome"])
MODULES: tuple[Module, ...] = ("tariffs", "locations")
"""In the order in which they are pulled, so that references to tariffs resolve (R175)."""

_CHUNK = 256
"""Objects a transaction: long enough to be quick, short enough not to hold up the readers of the change feed."""
_WRITERS = 2
"""Transactions under way at once: the database works while the next objects are prepared."""
_ISSUES = 2000
"""Issues that are written together: a long pull of odd objects must not hold more of them than the log takes."""
NOT_IN_PULL = "not in full pull"
_TOO_LARGE = Issue("", "too_large", f"larger than {LARGEST_OBJECT} bytes")
_NOT_PROCESSED = Issue("", "not_processed", "could not be processed: the log of the NAP tells more")


@dataclass(slots=True)
class Counts:
    """What a crawl met (R136)."""

    pages: int = 0
    objects: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    withheld: int = 0
    refused: int = 0
    ignored: int = 0
    issues: int = 0


@dataclass(slots=True)
class ModuleReport:
    """How the crawl of one module ended."""

    complete: bool = True
    counts: Counts = field(default_factory=Counts)
    error: str | None = None
    http_status: int | None = None
    """Of the answer that ended it."""
    total: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """``{"complete", "error"}`` and every count, as the log and the console show it."""
        return {"complete": self.complete, **asdict(self.counts), "error": self.error}


PullReport = dict[str, ModuleReport]
Progress = Callable[[str, ModuleReport], None]
"""Called after every page with the module's name and its report so far."""


class AlreadyRunning(Exception):
    """Another crawl of the same platform is under way (R130)."""


async def pull(
    db: Database, client: OcpiClient, peer: Callable[[Party | None], Peer], platform: Platform, *, full: bool,
    progress: Progress | None = None, confirm: bool = False, on_wait: Callable[[], None] | None = None, area: Area | None = None,
) -> PullReport:  # fmt: skip
    """Crawl tariffs, then locations. ``peer`` gives the connection for a party (per-operator scope) or the platform; ``area`` is where
    Locations should be.

    ``confirm`` lets a withdrawal pass that the guard would hold back (D17). While another pull of the platform runs:
    ``on_wait`` is called and its end awaited, or AlreadyRunning raised where there is none.
    """
    issues = IssueLog(db)
    connection = await Connection.of(db, platform.id)
    async with db.connection() as conn, _alone(conn, platform, on_wait):
        try:
            await crawls.end_interrupted(conn, platform.id)
            reports: PullReport = {}
            for module in MODULES:
                url = platform.endpoints.get(module)
                if url is None or platform.version is None or module not in VERSIONS[platform.version].modules:
                    continue
                report = reports[module] = ModuleReport()
                if ended := await connection.ended():
                    report.complete, report.error = False, f"stopped: {ended}"
                    continue
                scopes: list[Party | None] = [None]
                if platform.settings.pull_scope == "per_operator" and VERSIONS[platform.version].has_roles:
                    scopes = [operator.party for operator in platform.operators]
                for scope in scopes:
                    crawl = _Crawl(db, client, peer(scope), platform, module, url, scope, full, issues, report, progress, confirm, area)
                    await crawl.run(connection)
            if not await connection.ended():
                await _remember(db, platform, reports)
            return reports
        finally:
            await issues.flush()


@asynccontextmanager
async def _alone(conn: Conn, platform: Platform, on_wait: Callable[[], None] | None) -> AsyncIterator[None]:
    """One pull of a platform at a time."""
    async with locks.held(conn, locks.PULL, platform.id, wait=False) as taken:
        if taken:
            yield
            return
    if on_wait is None:
        raise AlreadyRunning(f"a pull of {platform.name} is already running")
    on_wait()
    async with locks.held(conn, locks.PULL, platform.id, wait=True):
        yield


async def _remember(db: Database, platform: Platform, reports: PullReport) -> None:
    """Show the platform's last failed pull until the next one that works (R129); a pull proves token C, or a 401 the contrary (R80)."""
    broken = [(module, report) for module, report in reports.items() if not report.complete]
    shown = platform.last_error is not None and platform.last_error.get("step") in ("pull", "verification")
    if broken:
        module, report = broken[0]
        advice = "Pulls go on by themselves; show the answer to the CPO if it stays."
        if report.http_status == 401:
            advice = "Their side no longer knows our token: ask the CPO, then `platform rotate` or register anew."
        failure = RegistryError(f"The pull of {module} is incomplete.", step="pull", answer=report.error or "", advice=advice)
        await note_pull(db, platform.id, "registered-unverified" if report.http_status == 401 else None, failure.record())
    elif reports and (shown or platform.state == "registered-unverified"):
        await note_pull(db, platform.id, "registered", None)


class _Head(msgspec.Struct):
    id: Any = None
    country_code: Any = None
    party_id: Any = None


_heads = msgspec.json.Decoder(_Head)


def _parse(item: bytes) -> dict[str, Any] | Issue:
    """The object, or why it is none."""
    if len(item) > LARGEST_OBJECT:
        return _TOO_LARGE
    try:
        raw = jsontext.parse(item)
    except jsontext.NotJson as error:
        return Issue("", "not_json", f"cannot be decoded: {error}")
    return raw if isinstance(raw, dict) else Issue("", "wrong_type", "not an object")


class _Crawl:
    """One module, one scope, once."""

    def __init__(
        self, db: Database, client: OcpiClient, peer: Peer, platform: Platform, module: Module, url: str, scope: Party | None,
        full: bool, issues: IssueLog, report: ModuleReport, progress: Progress | None, confirm: bool, area: Area | None,
    ) -> None:  # fmt: skip
        self.requests = Requests(db, platform)
        self.db, self.client, self.peer, self.platform = db, client, replace(peer, sent=self.requests.count), platform
        self.module, self.url, self.scope, self.full = module, url, scope, full
        self.issues, self.report, self.progress, self.confirm = issues, report, progress, confirm
        self.area = area
        self.counts = Counts()
        self.seen: set[LocationKey] = set()
        self.doubtful = False
        """An object came twice or could not be told: others may have been missed for it, so a second pull must agree (D17, I-57)."""
        self.known: dict[LocationKey, Known] = {}
        self.chunk: dict[LocationKey, Operation] = {}
        self.writing: deque[asyncio.Task[None]] = deque()
        assert platform.version is not None
        self.version = VERSIONS[platform.version]
        self.parties = platform.parties
        self.only_party = platform.operators[0].party if len(platform.operators) == 1 else None
        self.scope_name = f"{scope[0]}*{scope[1]}" if scope else "platform"

    async def run(self, connection: Connection) -> None:
        started = datetime.now(UTC)
        crawl_id = await crawls.start_crawl(self.db, self.platform.id, self.module, self.scope_name, self.full, started)
        # The first full pull counts from the registration (R85): what is pushed between the two is newer than the list (R125).
        registered = await crawls.registered_since_last_full(self.db, self.platform.id, self.module, self.scope_name)
        since = registered or started
        self.context = Context(self.platform.id, self.version, self.platform.settings, "pull", started, crawl_started=since,
                               partial_evses=not self.full and self.platform.settings.delta_evses_partial, area=self.area)  # fmt: skip
        crawler, error, complete = None, None, False
        http_status: int | None = None
        try:
            self.known = await crawls.known_objects(self.db, self.module, self.platform.id)
            date_from = await self._date_from()
            crawler = Crawler(self.client, self.peer, self.url, self.platform.settings, date_from=date_from, may=connection.check)
            async with aclosing(crawler.pages()) as pages:
                async for page in pages:
                    await connection.check()
                    self.counts.pages = page.number
                    for item, digest in page.items:
                        await self._take(item, digest)
                    await self.issues.flush(least=_ISSUES)
                    self._tell(crawler.total)
            await self._finish_writing()
            complete = True
            self.doubtful = self.doubtful or crawler.overlapping
            if self.full and not crawler.unstable:
                await self._reconcile(since)
            if self.full and self.module == "locations":
                await self._note_shared_uids()
        except CrawlFailed as failed:
            error, http_status = str(failed), failed.http_status
        except Exception:
            error = "something went wrong on our side; the log tells more"
            raise
        finally:
            await self.requests.note()
            await self._finish_writing()
            server_time = crawler.server_time if crawler else None
            self.counts.pages = crawler.number if crawler else 0
            for outcome in ("new", "changed", "unchanged", "withdrawn", "refused"):
                _PULLED.labels(self.platform.name, self.module, outcome).inc(getattr(self.counts, outcome))
            await crawls.finish_crawl(self.db, crawl_id, asdict(self.counts), complete, server_time, error)
        self._tell(crawler.total if crawler else None, add=True)
        self.report.complete = self.report.complete and complete
        self.report.error = error or self.report.error
        self.report.http_status = http_status or self.report.http_status

    def _tell(self, total: int | None, *, add: bool = False) -> None:
        if add:
            for name, value in asdict(self.counts).items():
                setattr(self.report.counts, name, getattr(self.report.counts, name) + value)
        if self.progress is not None:
            shown = self.report if add else ModuleReport(True, self.counts, None, total)
            shown.total = total
            self.progress(self.module, shown)

    async def _date_from(self) -> datetime | None:
        """Start of the last complete crawl, less the overlap (R120); None crawls everything."""
        if self.full:
            return None
        last = await crawls.last_complete(self.db, self.platform.id, self.module, self.scope_name)
        if last is None:
            self.full = True
            return None
        return last - timedelta(minutes=self.platform.settings.delta_overlap_minutes)

    async def _take(self, item: bytes, digest: bytes) -> None:
        """One object of a page: unchanged, to be written, or refused – never the end of the page (R127)."""
        self.counts.objects += 1
        if self.counts.objects % 4 == 0:
            await asyncio.sleep(0)  # a crawl shares its process with the publisher
        raw: dict[str, Any] | Issue | None = None
        party, object_id = self._head(item)
        if party is None:
            raw = _parse(item)
            if isinstance(raw, Issue):
                self._there(object_id)
                self._refuse(f"{self.module}[{self.counts.objects - 1}]", [raw])
                return
            party, object_id = owner(raw, self.platform), raw.get("id")
        if party is None or party not in self.parties or (self.scope is not None and party != self.scope):
            self.counts.ignored += 1
            if party is not None and party not in self.parties:
                self.issues.add(self.platform.id, f"{self.module}/{party[0]}/{party[1]}"[:40], [UNKNOWN_PARTY], refused=True)
            return
        if not isinstance(object_id, str | int) or isinstance(object_id, bool) or not str(object_id) or len(str(object_id)) > 255:
            self.doubtful = True
            self._refuse(f"{self.module}/{party[0]}/{party[1]}/?", [Issue("id", "required_missing", "no usable id")])
            return
        key = (self.platform.id, *party, self.version.id_key(str(object_id)))
        known = self.known.get(key)
        self.doubtful = self.doubtful or key in self.seen
        if known is not None and known.pulled_hash == digest:
            self.counts.unchanged += 1
            self.seen.add(key)
            return
        raw = raw if isinstance(raw, dict) else _parse(item)
        if isinstance(raw, Issue):
            self.seen.add(key)  # it is there: what is held of it stays (R127)
            self._refuse(f"{self.module}/{party[0]}/{party[1]}/{object_id}", [raw])
            return
        await self._prepare(key, NodeKey(*party, str(object_id)), raw, digest)

    def _there(self, object_id: Any) -> None:
        """An object whose owner cannot be told is there: what any of them has under its id stays; without an id, it may be any object."""
        if isinstance(object_id, str | int):
            self.seen |= {(self.platform.id, *party, self.version.id_key(str(object_id))) for party in self.parties}
        else:
            self.doubtful = True

    def _head(self, item: bytes) -> tuple[Party | None, Any]:
        """Owner and id without decoding the object, which is most of the cost of an unchanged one; no owner: decode it."""
        try:
            head = _heads.decode(item)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None, None
        party = stated_owner({"country_code": head.country_code, "party_id": head.party_id}) or self.only_party
        return party, jsontext.clean_text(head.id) if isinstance(head.id, str) else head.id

    async def _prepare(self, key: LocationKey, address: NodeKey, raw: dict[str, Any], digest: bytes) -> None:
        operation = Operation("put", "location" if self.module == "locations" else "tariff", address, key, self.context, raw)
        operation.pulled_hash = None if self.context.partial_evses else digest
        operation.issues += cleaned(raw)
        twice = key in self.seen
        self.seen.add(key)
        try:
            prepare_put(operation)
        except OcpiError as error:
            self._refuse(operation.object_path, error.errors or [Issue("", "refused", error.message)])
            return
        except Exception:  # one object of which we cannot say why is no reason to lose the others (R127)
            log.exception("preparing %s failed", operation.object_path)
            self._refuse(operation.object_path, [_NOT_PROCESSED])
            return
        if twice:
            operation.issues.append(Issue("id", "duplicate_id", "the same id twice in one crawl: the newest counts"))
            await self._finish_writing()
        if len(self.chunk) >= _CHUNK:
            await self._start_writing()
        self.chunk[key] = operation

    async def _start_writing(self) -> None:
        """Write the chunk while the next ones are prepared. Chunks share no object, so they may commit in any order."""
        if len(self.writing) >= _WRITERS:
            await self.writing.popleft()
        operations, self.chunk = list(self.chunk.values()), {}
        if operations:
            self.writing.append(asyncio.create_task(self._write(operations)))

    async def _finish_writing(self) -> None:
        await self._start_writing()
        while self.writing:
            await self.writing.popleft()

    async def _write(self, operations: list[Operation]) -> None:
        outcomes = await write_apart(self.db, operations)
        for operation, outcome in zip(operations, outcomes, strict=True):
            if outcome.error is not None:
                self._refuse(operation.object_path, [Issue("", "refused", outcome.error.message)])
                continue
            if outcome.created:
                self.counts.new += 1
            elif outcome.changed:
                self.counts.changed += 1
            else:
                self.counts.unchanged += 1
            self.counts.issues += len(operation.issues)
            self.issues.add(self.platform.id, operation.object_path, operation.issues)
        await self.issues.flush(least=_ISSUES)
        await self.db.notify("feed", "")

    def _refuse(self, object_path: str, problems: list[Issue]) -> None:
        self.counts.refused += 1
        self.issues.add(self.platform.id, object_path, problems, refused=True)

    async def _note_shared_uids(self) -> None:
        for uid, places in await crawls.shared_uids(self.db, self.platform.id):
            issue = Issue("uid", "uid_shared", f"also under {', '.join(places[1:4])}: both are kept", uid[:60])
            self.issues.add(self.platform.id, f"locations/{places[0]}/{uid}", [issue])

    async def _reconcile(self, since: datetime) -> None:
        """Withdraw what a complete full pull no longer has (R124), unless that is suspiciously much (D17)."""
        scope = {key: known for key, known in self.known.items() if known.active and (self.scope is None or key[1:3] == self.scope)}
        gone = [known for key, known in scope.items() if key not in self.seen]
        if not self.confirm and (self.doubtful or (len(gone) > 10 and 2 * len(gone) > len(scope))):
            held = [known.pk for known in gone if not known.missed]
            gone = [known for known in gone if known.missed]
            if held:
                self.counts.withheld = len(held)
                log.warning("%s: %d of %d %s would vanish; held back", self.platform.name, len(held), len(scope), self.module)
                await crawls.mark_missed(self.db, self.module, held, since)
        if gone:
            self.counts.withdrawn = await crawls.withdraw(self.db, self.module, [known.pk for known in gone], NOT_IN_PULL, since)
            await self.db.notify("feed", "")
