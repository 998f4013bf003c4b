"""Server time of each console page with 380,000 locations, 1,000,000 EVSEs and 2,000,000 issues: `python -m bench.console`.

The rows are synthetic and written by SQL into an embedded PostgreSQL of its own; the pages are asked for in this process, through the whole
application with a signed-in account. The first answer of each page is left out, as a worker gives it once.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from ocpi_nap.ocpi.client import OcpiClient
from ocpi_nap.ocpi.credentials import OwnIdentity
from ocpi_nap.registry import Registry, onboarding
from ocpi_nap.registry.vault import Vault
from ocpi_nap.store import accounts
from ocpi_nap.store.activity import count_operators
from ocpi_nap.store.database import Database
from ocpi_nap.store.embedded import EmbeddedPostgres
from ocpi_nap.store.migrate import migrate
from ocpi_nap.web import passwords
from ocpi_nap.web.context import SiteOptions
from ocpi_nap.web.site import create_site

URL = "http://nap.example"
LOCATIONS, EVSES_EACH, ISSUES, PLATFORMS, CRAWLS, CHANGES = 380_000, 3, 2_000_000, 20, 50_000, 500_000
ROUNDS = 15

_PLACE = """"coordinates":{"latitude":60.1,"longitude":24.9}"""
_RAW = f"""'{{"id":"L'||n||'","name":"Place '||n||'","address":"Street 1","city":"Town","country":"FIN",{_PLACE}}}'"""
_DOC = f"""'{{"name":"Place '||n||'",{_PLACE}}}'"""
_FILL = [
    f"""INSERT INTO location (platform_id, country_code, party_id, id_key, id, source_version, via, raw, doc, received_at, created_at,
         modified_at, publish)
        SELECT 1 + n %% {PLATFORMS}, 'FI', 'P'||lpad((1 + n %% {PLATFORMS})::text, 2, '0'), 'l'||n, 'L'||n, '2.2.1', 'pull',
               convert_to({_RAW}, 'UTF8'), convert_to({_DOC}, 'UTF8'), now(), now(), now(), true FROM generate_series(1, {LOCATIONS}) n""",
    f"""INSERT INTO evse SELECT pk, 'u'||k, 'U'||k, k, 'FI*P*E'||pk||'*'||k, '2.2.1', 'pull', convert_to('{{"uid":"U'||k||'"}}', 'UTF8'),
               convert_to('{{"uid":"U'||k||'","connectors":[{{"id":"1"}}]}}', 'UTF8'), now(), now(), now()
        FROM location CROSS JOIN generate_series(1, {EVSES_EACH}) k""",
    "INSERT INTO evse_state SELECT location_pk, uid_key, 'AVAILABLE', NULL, now(), now(), NULL, now(), 'push' FROM evse",
    f"""INSERT INTO issue SELECT 1 + n %% {PLATFORMS}, 'locations/FI/P'||lpad((1 + n %% {PLATFORMS})::text, 2, '0')||'/L'||n,
               'evses[0].'||n %% 7, 'rule_'||n %% 23, 'not what OCPI says', 'sample '||n, n %% 9 = 0,
               now() - n * interval '1 second', now(), 1 + n %% 5 FROM generate_series(1, {ISSUES}) n""",
    f"""INSERT INTO crawl (platform_id, module, scope, full_pull, started_at, finished_at, complete, objects)
        SELECT 1 + n %% {PLATFORMS}, CASE WHEN n %% 2 = 0 THEN 'locations' ELSE 'tariffs' END, 'platform', n %% 24 = 0,
               now() - (50000 - n) * interval '1 minute', now() - (50000 - n) * interval '1 minute', true, 19000
        FROM generate_series(1, {CRAWLS}) n""",
    f"""INSERT INTO change (kind, location_pk, uid_key, status, status_at)
        SELECT 'status', 1 + n::bigint * 7919 %% {LOCATIONS}, 'u1', 'CHARGING', now() FROM generate_series(1, {CHANGES}) n""",
    f"INSERT INTO push_minute SELECT p, m, 300 FROM generate_series(1, {PLATFORMS}) p,"
    " generate_series(date_trunc('minute', now()) - interval '2 days', now(), '1 minute') m",
    "INSERT INTO audit (who, act, what, address) SELECT 'maija', 'started pull', 'p01', '192.0.2.1' FROM generate_series(1, 100000)",
]
PAGES = {
    "platforms": "/console/platforms", "one platform": "/console/platforms/p01", "its pulls": "/console/platforms/p01/crawls",
    "operators": "/console/operators", "issues by rule": "/console/issues", "issues of a platform": "/console/issues?platform=p03",
    "issues of a rule": "/console/issues/records?platform=p03&rule=rule_5&kind=tolerated",
    "issues of a rule, deep": "DEEP", "issues of objects": "/console/issues/records?platform=p03&begins=locations/FI/P03/L1234",
    "requests": "/console/requests", "inspector, by id": "/console/inspector?q=L190001",
    "inspector, by EVSE": "/console/inspector?q=FI*P*E190001*1",
    "object": "/console/inspector/location/190001", "live": "/console/live/rows", "audit log": "/console/audit",
}  # fmt: skip


async def fill(db: Database, registry: Registry) -> None:
    """The synthetic network."""
    for number in range(1, PLATFORMS + 1):
        record = onboarding.check(name=f"p{number:02}", versions_url="http://127.0.0.1:9/v", token="t", party_id="PLT", country_code="FI",
                                  operators=[f"FI*P{number:02};Operator {number}"])  # fmt: skip
        await registry.add(record)
    async with db.connection() as conn:
        for statement in _FILL:
            started = time.perf_counter()
            await conn.execute(statement.replace("%%", "%").encode())
            print(f"  {statement.split()[2]}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        await conn.execute("UPDATE platform SET state = 'registered', version = '2.2.1'")
        await conn.execute("VACUUM ANALYZE")
    started = time.perf_counter()
    await count_operators(db)
    print(f"counting what operators have took {time.perf_counter() - started:.1f} s (in the background)")


async def sign_in(db: Database, client: httpx2.AsyncClient) -> None:
    await accounts.add_account(db, "bench", "admin", passwords.hash_password("bench bench bench"))
    page = (await client.get("/console/sign-in")).text
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    await client.post("/console/sign-in", data={"csrf": csrf, "name": "bench", "password": "bench bench bench"})


async def deep(client: httpx2.AsyncClient) -> str:
    """The address of the 30th page of a rule's issues."""
    url = "/console/issues/records?platform=p03&rule=rule_5&kind=tolerated"
    for _ in range(30):
        more = re.search(r'href="\?([^"]+after=[^"]+)"', (await client.get(url)).text)
        if more is None:
            break
        url = "/console/issues/records?" + more[1].replace("&amp;", "&")
    return url


async def measure(client: httpx2.AsyncClient, url: str) -> tuple[float, float, int, int]:
    """(median ms, worst ms, bytes, status) of a page."""
    answer = await client.get(url)
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await client.get(url)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times), max(times), len(answer.content), answer.status_code


async def run(dsn: str, folder: Path) -> None:
    migrate(dsn)
    db = await Database.open(dsn)
    ocpi = await OcpiClient.open()
    registry = Registry(db, Vault.open(folder), ocpi, OwnIdentity(f"{URL}/v", "FI", "NAP", {"name": "Nap"}), allow_private=True)
    await fill(db, registry)
    app = create_site(db, registry, SiteOptions(public_url=URL))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as client:
        await sign_in(db, client)
        print(f"{'page':24} {'median':>9} {'worst':>9} {'bytes':>9}  status")
        for name, url in PAGES.items():
            median, worst, size, status = await measure(client, await deep(client) if url == "DEEP" else url)
            print(f"{name:24} {median:6.1f} ms {worst:6.1f} ms {size:9,}  {status}", flush=True)
        started = time.perf_counter()
        rows = (await client.get("/console/issues/export.csv?platform=p03")).text.count("\n")
        print(f"export of {rows:,} issues: {time.perf_counter() - started:.1f} s")
    await ocpi.close()
    await db.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ocpi-nap-bench-") as folder, EmbeddedPostgres(Path(folder)) as server:
        asyncio.run(run(server.dsn, Path(folder)))


if __name__ == "__main__":
    main()
