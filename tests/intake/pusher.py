"""A CPO that pushes: requests below its own party, and what must come back."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocpi_nap.model import objects
from tests.asgi import Reply, call
from tests.e2e.cpo import location
from tests.feed.conftest import serving, settled
from tests.interface import Ocpi


def at(day: int) -> str:
    """A time in March 2026."""
    return f"2026-03-{day:02d}T00:00:00Z"


@dataclass
class Pusher:
    """One registered platform of FI*ABC."""

    ocpi: Ocpi
    version: str
    token: str

    async def send(self, method: str, path: str, body: Any = b"", *, module: str = "locations") -> Reply:
        return await self.ocpi.send(method, f"{self.version}/{module}/FI/ABC/{path}", body, token=self.token)

    async def ok(self, method: str, path: str, body: Any = b"", *, module: str = "locations", status: int | None = None) -> Any:
        """Accepted; returns ``data``."""
        reply = await self.send(method, path, body, module=module)
        envelope = json.loads(reply.body)
        assert reply.status in ((200, 201) if status is None else (status,)), (method, path, reply.status, envelope)
        assert envelope["status_code"] == 1000, (method, path, envelope)
        return envelope.get("data")

    async def refused(
        self, method: str, path: str, body: Any = b"", *, module: str = "locations", status: int = 200, code: int = 2001
    ) -> dict[str, Any]:
        """Refused with this answer, and nothing at all is stored (R158); returns the envelope."""
        before = await self.ocpi.stored()
        reply = await self.send(method, path, body, module=module)
        envelope: dict[str, Any] = json.loads(reply.body)
        assert (reply.status, envelope["status_code"]) == (status, code), (method, path, body, reply.status, envelope)
        assert await self.ocpi.stored() == before, (method, path, body)
        return envelope

    async def read(self, path: str, *, module: str = "locations") -> Any:
        return await self.ok("GET", path, module=module, status=200)

    async def start(self, *uids: str) -> dict[str, Any]:
        """PUT L1 with these EVSEs (U1 if none are named); returns what was sent."""
        body = location(self.version, 1)
        body["evses"] = [{**body["evses"][0], "uid": uid, "evse_id": f"FI*ABC*E{uid}"} for uid in uids or ("U1",)]
        await self.ok("PUT", "L1", body, status=201)
        return body

    async def rules(self, *, refused: bool = False) -> set[str]:
        """The rules of the issues that were recorded."""
        await self.ocpi.issues.flush()
        return {rule for (rule,) in await self.ocpi.db.fetch_all("SELECT rule FROM issue WHERE refused = %s", (refused,))}

    async def canonical(self, location_id: str = "L1") -> tuple[objects.Location, list[objects.Evse]]:
        """The canonical form of a Location and of its EVSEs in their order."""
        rows = await self.ocpi.db.fetch_all(
            "SELECT l.doc, e.doc, s.status FROM location l LEFT JOIN evse e ON e.location_pk = l.pk"
            " LEFT JOIN evse_state s USING (location_pk, uid_key) WHERE l.id = %s ORDER BY e.ordinal", (location_id,),
        )  # fmt: skip
        evses = [objects.decode_evse(doc) for _, doc, _ in rows if doc is not None]
        for evse, row in zip(evses, rows, strict=False):
            evse.status = row[2]
        return objects.decode_location(rows[0][0]), evses

    async def features(self) -> list[dict[str, Any]]:
        """The public form of what is shown."""
        await settled(self.ocpi.db)
        with tempfile.TemporaryDirectory() as folder:
            async with serving(self.ocpi.db, Path(folder)) as api:
                reply = await call(api, "/api/charging-network/v1/locations")
        assert reply.status == 200, reply.body
        found: list[dict[str, Any]] = reply.json()["features"]
        return found

    async def published(self) -> dict[str, list[str]]:
        """What the public sees: EVSE ids by Location id."""
        return {f["properties"]["id"]: [evse["id"] for evse in f["properties"]["evses"]] for f in await self.features()}
