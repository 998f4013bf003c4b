"""A data user's copy of the network, kept in step by /changes alone, and a network that changes at random."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from ocpi_nap.feed.events.logwriter import EventLogWriter
from ocpi_nap.intake.batches import write_documents
from ocpi_nap.intake.operations import Context, Operation, prepare_put
from ocpi_nap.model.platform import Operator, PlatformSettings
from ocpi_nap.ocpi.ports import NodeKey
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.store import crawls, registry
from tests.asgi import call
from tests.e2e.cpo import location, tariff
from tests.interface import Ocpi

BASE = "/api/charging-network/v1"
FAR = datetime(2100, 1, 1, tzinfo=UTC)
STATUSES = ("AVAILABLE", "CHARGING", "BLOCKED", "OUTOFORDER", "REMOVED", "PLANNED")
PLACES = (("60.1", "24.1"), ("60.9", "24.9"), ("65.0", "25.5"))


async def tell(log_writer: EventLogWriter) -> None:
    """Everything that is committed is told: other tests' transactions in the same server may hold it back for a moment."""
    db = log_writer.db
    async with asyncio.timeout(30):
        while True:
            await log_writer.catch_up()
            waiting = "SELECT 1 FROM change c, event_head h WHERE (c.xid, c.id) > (h.xid, h.id) LIMIT 1"
            if await db.fetch_one(waiting) is None:
                return


class Copy:
    """What a client of the API holds."""

    def __init__(self, app: Any, query: str = "") -> None:
        self.app, self.query, self.cursor = app, query, ""
        self.locations: dict[tuple[str, str], dict[str, Any]] = {}
        self.statuses: dict[str, dict[str, Any]] = {}
        self.tariffs: dict[tuple[str, str], dict[str, Any]] = {}
        self.items: list[dict[str, Any]] = []

    async def start(self) -> Copy:
        """A cursor first, then everything."""
        self.cursor = (await call(self.app, f"{BASE}/changes")).json()["cursor"]
        return await self.load()

    async def load(self) -> Copy:
        read = {path: (await call(self.app, f"{BASE}/{path}/all")).json() for path in ("locations", "locations/statuses", "tariffs")}
        self.locations = {(f["properties"]["operator"]["id"], f["properties"]["id"]): f for f in read["locations"]["features"]}
        self.statuses = {row["evseId"]: row for row in read["locations/statuses"]["statuses"]}
        self.tariffs = {(f"{t['countryCode']}*{t['partyId']}", t["id"]): t for t in read["tariffs"]["tariffs"]}
        return self

    async def follow(self) -> None:
        """Everything that changed since the last time."""
        while True:
            reply = await call(self.app, f"{BASE}/changes?since={self.cursor}{self.query}")
            assert reply.status == 200, reply.body
            page = reply.json()
            for item in page["changes"]:
                self.apply(item)
            self.cursor = page["cursor"]
            if not page["more"]:
                return

    def apply(self, item: dict[str, Any]) -> None:
        self.items.append(item)
        if item["kind"] == "tariff":
            key = (item["operator"], item["tariffId"])
            if item["change"] == "removed":
                self.tariffs.pop(key, None)
            else:
                self.tariffs[key] = item["tariff"]
            return
        key = (item["operator"], item["locationId"])
        if item["kind"] == "status":
            self._status(key, item["status"])
            return
        for evse in self.locations.pop(key, {"properties": {"evses": []}})["properties"]["evses"]:
            self.statuses.pop(evse["id"], None)
        if item["change"] != "removed":
            self.locations[key] = item["feature"]
            self.statuses |= {row["evseId"]: row for row in item["statuses"]}

    def _status(self, key: tuple[str, str], status: dict[str, str]) -> None:
        feature = self.locations.get(key)
        evse = next((e for e in feature["properties"]["evses"] if e["id"] == status["evseId"]), None) if feature else None
        if feature is None or evse is None:
            return
        self.statuses[status["evseId"]] = status
        evse["modifiedAt"] = max(evse["modifiedAt"], status["modifiedAt"])
        feature["properties"]["modifiedAt"] = max(feature["properties"]["modifiedAt"], status["modifiedAt"])

    def held(self) -> tuple[Any, ...]:
        return self.locations, self.statuses, self.tariffs

    def within(self, operator: str | None = None, box: tuple[float, ...] | None = None) -> tuple[Any, ...]:
        """The part that a filter leaves."""
        kept = {
            key: feature
            for key, feature in self.locations.items()
            if (operator is None or key[0] == operator) and (box is None or _inside(feature["geometry"]["coordinates"], box))
        }
        ids = {evse["id"] for feature in kept.values() for evse in feature["properties"]["evses"]}
        statuses = {key: row for key, row in self.statuses.items() if key in ids}
        return kept, statuses, {key: row for key, row in self.tariffs.items() if operator is None or key[0] == operator}


def _inside(point: list[float], box: tuple[float, ...]) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


class RandomNetwork:
    """Two operators on two platforms that push, pull and withdraw at random."""

    def __init__(self, ocpi: Ocpi, seed: int) -> None:
        self.ocpi, self.db, self.random = ocpi, ocpi.db, random.Random(seed)
        self.tokens: dict[str, str] = {}
        self.moment = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)

    async def start(self) -> RandomNetwork:
        for party in ("ABC", "XYZ"):
            self.tokens[party] = await self.ocpi.platform("2.2.1", party)
        async with self.db.transaction() as conn:
            await registry.visible_change(conn)
        return self

    def time(self) -> str:
        self.moment += timedelta(seconds=1)
        return self.moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def location(self, party: str, number: int) -> dict[str, Any]:
        """A Location of up to three EVSEs in one of three places, now and then one that is not to be published."""
        made = location("2.2.1", number, party)
        evse = made["evses"][0]
        count = self.random.choice((0, 1, 1, 2, 3))
        made["evses"] = [
            evse
            | {"uid": f"U{n}", "evse_id": f"FI*{party}*E{number}*{n}"}
            | {"status": self.random.choice(STATUSES), "last_updated": self.time()}
            for n in range(count)
        ]
        latitude, longitude = self.random.choice(PLACES)
        return made | {
            "publish": self.random.random() < 0.8, "name": f"Asema {self.random.randrange(3)}", "last_updated": self.time(),
            "coordinates": {"latitude": latitude, "longitude": longitude},
        }  # fmt: skip

    async def change(self) -> None:
        """One random change."""
        party, number = self.random.choice(("ABC", "XYZ")), self.random.randrange(4)
        act = self.random.choice(
            (self.put, self.put, self.pull, self.status, self.status, self.status, self.tariff, self.withdraw, self.operator)
        )
        await act(party, number)

    async def put(self, party: str, number: int) -> None:
        await self.ocpi.send("PUT", f"2.2.1/locations/FI/{party}/L{number}", self.location(party, number), token=self.tokens[party])

    async def pull(self, party: str, number: int) -> None:
        platform = await self.platform(party)
        raw = self.location(party, number)
        context = Context(platform, VERSIONS["2.2.1"], PlatformSettings(), "pull", datetime.now(UTC))
        key = (platform, "FI", party, VERSIONS["2.2.1"].id_key(raw["id"]))
        await write_documents(self.db, [prepare_put(Operation("put", "location", NodeKey("FI", party, raw["id"]), key, context, raw))])

    async def status(self, party: str, number: int) -> None:
        body = {"status": self.random.choice(STATUSES), "last_updated": self.time()}
        uid = self.random.randrange(3)
        await self.ocpi.send("PATCH", f"2.2.1/locations/FI/{party}/L{number}/U{uid}", body, token=self.tokens[party])

    async def tariff(self, party: str, number: int) -> None:
        path = f"2.2.1/tariffs/FI/{party}/T1"
        if number == 0:
            await self.ocpi.send("DELETE", path, token=self.tokens[party])
            return
        body = tariff("2.2.1", party) | {"last_updated": self.time()}
        body["elements"][0]["price_components"][0]["price"] = self.random.randrange(1, 10**6) / 1000
        await self.ocpi.send("PUT", path, body, token=self.tokens[party])

    async def withdraw(self, party: str, number: int) -> None:
        rows = await self.db.fetch_all("SELECT pk FROM location WHERE party_id = %s AND id = %s", (party, f"L{number}"))
        await crawls.withdraw(self.db, "locations", [row[0] for row in rows], "omitted", FAR)

    async def operator(self, party: str, number: int) -> None:
        """The operator leaves its platform, or is there, perhaps under another name."""
        platform = await self.platform(party)
        async with self.db.transaction() as conn:
            if number == 0:
                await registry.remove_operators(conn, platform, [("FI", party)])
            else:
                known = Operator(country_code="FI", party_id=party, name=f"{party} {number}")
                await registry.put_operators(conn, platform, "production", [known])
            await registry.visible_change(conn)

    async def platform(self, party: str) -> int:
        row = await self.db.fetch_one("SELECT id FROM platform WHERE name = %s", (f"p2.2.1{party}",))
        assert row is not None
        return int(row[0])
