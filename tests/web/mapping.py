"""A small network on the map, and what tests read of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import mapbox_vector_tile

from ocpi_nap.web.map import grid
from ocpi_nap.web.map.live import Live
from tests.e2e.cpo import location
from tests.interface import Ocpi

if TYPE_CHECKING:
    from tests.web.conftest import Site

LATER = "2026-03-01T00:00:00Z"
HELSINKI = (60.1699, 24.9300)
PLACES = {"L1": ("Helsinki", *HELSINKI), "L2": ("Helsinki", 60.1702, 24.9310), "L3": ("Äänekoski", 62.6030, 25.7260)}


def evse(number: int, status: str = "AVAILABLE", *connectors: tuple[str, int]) -> dict[str, Any]:
    made = [
        {"id": str(i), "standard": standard, "format": "CABLE", "power_type": "DC" if watts > 43_000 else "AC_3_PHASE", "max_voltage": 400,
         "max_amperage": 200, "max_electric_power": watts, "tariff_ids": ["T1"], "last_updated": "2026-01-01T10:00:00Z"}
        for i, (standard, watts) in enumerate(connectors or (("IEC_62196_T2", 22_000),), 1)
    ]  # fmt: skip
    identity = {"uid": f"U{number}", "evse_id": f"FI*ABC*E{number}"}
    return identity | {"status": status, "connectors": made, "last_updated": "2026-01-01T10:00:00Z"}


def place(identity: str, *evses: dict[str, Any], **more: Any) -> dict[str, Any]:
    city, latitude, longitude = PLACES.get(identity, ("Turku", 60.45, 22.27))
    made = location("2.2.1", 1) | {"id": identity, "name": f"Asema {identity}", "city": city, "evses": list(evses)}
    return made | {"coordinates": {"latitude": f"{latitude:.6f}", "longitude": f"{longitude:.6f}"}} | more


class Cpo:
    """Pushes to the NAP as the platform of FI*ABC."""

    def __init__(self, ocpi: Ocpi, token: str) -> None:
        self._ocpi, self._token = ocpi, token

    async def put(self, body: dict[str, Any], module: str = "locations") -> None:
        reply = await self._ocpi.send("PUT", f"2.2.1/{module}/FI/ABC/{body['id']}", body, token=self._token)
        assert json.loads(reply.body)["status_code"] == 1000, reply.body

    async def status(self, where: str, status: str) -> None:
        body = {"status": status, "last_updated": LATER}
        reply = await self._ocpi.send("PATCH", f"2.2.1/locations/FI/ABC/{where}", body, token=self._token)
        assert json.loads(reply.body)["status_code"] == 1000, reply.body


def live_of(site: Site) -> Live:
    live: Live = site.app.state.map.live
    return live


async def up_to_date(live: Live) -> None:
    """Read the change feed until all that was written is in: transactions of other tests on the server hold it back for moments."""
    last = await live._db.fetch_one("SELECT xid::text::bigint, id FROM change ORDER BY xid DESC, id DESC LIMIT 1")
    while True:
        await live.fresh(0)
        if last is None or (live._position or (0, 0)) >= (last[0], last[1]):
            return


async def tile(site: Site, z: int, at: tuple[float, float] = HELSINKI, query: str = "") -> list[dict[str, Any]]:
    """Features of the tile over a point, each with its id; brought up to date first."""
    await up_to_date(live_of(site))
    x, y = grid.project(at[1], at[0])
    answer = await site.client.get(f"/map/tiles/{z}/{int(x * 2**z)}/{int(y * 2**z)}{query}")
    if answer.status_code == 204:
        return []
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    features: list[dict[str, Any]] = mapbox_vector_tile.decode(answer.content)["locations"]["features"]
    return features


def numbers(features: list[dict[str, Any]]) -> list[tuple[int, int, int, int]]:
    """(locations, free, total, state) of each feature."""
    return sorted(tuple(feature["properties"][name] for name in ("n", "free", "total", "state")) for feature in features)  # type: ignore[misc]
