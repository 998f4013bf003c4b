"""Bulk formats, opened with the programs that people use: DuckDB, GeoPandas, GDAL (pyogrio), and the standard library's csv."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import pyogrio
import pytest

from ocpi_nap.feed.editions.bulkfeed import FORMATS
from ocpi_nap.store.database import Database
from tests.asgi import Reply, call
from tests.feed.conftest import settled
from tests.feed.network import Network

ALL = "/api/charging-network/v1/locations/all"
CONNECTOR = {"id": "1", "standard": "CHADEMO", "format": "CABLE", "power_type": "DC", "max_voltage": 400, "max_amperage": 125,
             "max_electric_power": 50000, "last_updated": "2026-01-01T10:00:00Z"}  # fmt: skip
EVSES = [
    {"uid": "U1", "evse_id": "FI*ABC*E1", "status": "AVAILABLE", "last_updated": "2026-01-01T10:00:00Z",
     "connectors": [CONNECTOR, {**CONNECTOR, "id": "2", "standard": "IEC_62196_T2_COMBO", "max_electric_power": 150000}]},
    {"uid": "U2", "evse_id": "FI*ABC*E2", "status": "CHARGING", "last_updated": "2026-01-01T10:00:00Z", "connectors": [CONNECTOR]},
]  # fmt: skip


@pytest.fixture
async def network(database: Database) -> Network:
    """Three locations, one with special characters, one withdrawn."""
    made = await Network.create(database, "ABC", "XYZ")
    place = {"coordinates": {"latitude": "65.012100", "longitude": "25.465100"}}
    await made.put([1], evses=EVSES, name='Ääni, "laituri"\n2', **place)
    await made.put([2, 3], "XYZ")
    await made.withdraw([3])
    await settled(database)
    return made


async def fetch(app: Any, folder: Path, kind: str) -> tuple[Path, Reply]:
    reply = await call(app, f"{ALL}.{kind}")
    assert reply.status == 200
    path = folder / f"fetched.{kind}"
    path.write_bytes(reply.content)
    return path, reply


async def test_geoparquet(app: Any, network: Network, tmp_path: Path) -> None:
    path, reply = await fetch(app, tmp_path, "parquet")
    assert reply.headers["content-type"] == "application/vnd.apache.parquet"
    found = duckdb.sql(
        "SELECT location_id, evses, connectors, max_power_w, standards, available, charging, unknown, longitude, modified_at IS NOT NULL"
        f" FROM '{path}' ORDER BY operator_id"
    ).fetchall()
    assert found == [
        ("L1", 2, 3, 150000, ["CHADEMO", "IEC_62196_T2_COMBO"], 1, 1, 0, 25.4651, True),
        ("L2", 1, 1, 22000, ["IEC_62196_T2"], 1, 0, 0, 24.9384, True),
    ]
    frame = geopandas.read_parquet(path)
    assert frame.crs.to_epsg() in (4326, None) and frame.crs.name == "WGS 84 (CRS84)"
    assert [(point.x, point.y) for point in frame.geometry] == [(25.4651, 65.0121), (24.9384, 60.1699)]
    assert frame["name"][0] == 'Ääni, "laituri"\n2' and frame["operator_name"].tolist() == ["Operator ABC", "Operator XYZ"]
    evses = json.loads(frame["evses_json"][0])
    assert [(evse["id"], evse["status"], len(evse["connectors"])) for evse in evses] == [
        ("FI*ABC*E1", "AVAILABLE", 2), ("FI*ABC*E2", "CHARGING", 1),
    ]  # fmt: skip
    ((geo,),) = duckdb.sql(f"SELECT decode(value) FROM parquet_kv_metadata('{path}') WHERE decode(key) = 'geo'").fetchall()
    described = json.loads(geo)
    assert described["version"] == "1.1.0" and described["columns"]["geometry"]["bbox"] == [24.9384, 60.1699, 25.4651, 65.0121]


async def test_flatgeobuf(app: Any, network: Network, tmp_path: Path) -> None:
    """With its spatial index, so that GDAL and QGIS read a box without reading all."""
    path, reply = await fetch(app, tmp_path, "fgb")
    assert reply.headers["content-type"] == "application/flatgeobuf"
    info = pyogrio.read_info(path)
    assert (info["features"], info["geometry_type"], info["crs"]) == (2, "Point", "EPSG:4326")
    assert info["capabilities"]["fast_spatial_filter"]
    frame = pyogrio.read_dataframe(path, bbox=(25, 64, 26, 66))
    assert frame["location_id"].tolist() == ["L1"] and frame["standards"].tolist() == ["CHADEMO,IEC_62196_T2_COMBO"]
    assert (frame["max_power_w"][0], frame["modified_at"].dt.tz is not None) == (150000, True)


async def test_csv(app: Any, network: Network, tmp_path: Path) -> None:
    path, reply = await fetch(app, tmp_path, "csv")
    assert (reply.headers["content-type"], reply.headers["content-encoding"]) == ("text/csv; charset=utf-8", "gzip")
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))
    assert [(row["location_id"], row["name"], row["longitude"], row["standards"]) for row in rows] == [
        ("L1", 'Ääni, "laituri"\n2', "25.4651", "CHADEMO,IEC_62196_T2_COMBO"), ("L2", "Asema 2", "24.9384", "IEC_62196_T2"),
    ]  # fmt: skip
    assert duckdb.sql(f"SELECT sum(evses) FROM '{path}'").fetchall() == [(3,)]


async def test_as_files_over_http(app: Any, network: Network, database: Database) -> None:
    """Made anew after a change; ETag, 304, HEAD and, of the binary ones, ranges whatever the client accepts: DuckDB and GDAL read so."""
    whole = await call(app, f"{ALL}.parquet")
    for kind, (media_type, _) in FORMATS.items():
        reply = await call(app, f"{ALL}?format={kind}")
        assert (reply.status, reply.headers["content-type"]) == (200, media_type)
        assert reply.headers["content-disposition"] == f'attachment; filename="locations.{kind}"'
        assert (await call(app, f"{ALL}.{kind}", headers={"if-none-match": reply.headers["etag"]})).status == 304
        head = await call(app, f"{ALL}.{kind}", method="HEAD")
        assert (head.body, head.headers["content-length"]) == (b"", str(len(reply.body)))
    part = await call(app, f"{ALL}.parquet", headers={"range": "bytes=-8"})
    assert (part.status, part.body, part.headers["content-range"]) == (
        206, whole.body[-8:], f"bytes {len(whole.body) - 8}-{len(whole.body) - 1}/{len(whole.body)}",
    )  # fmt: skip
    await network.put([7])
    await settled(database)
    assert (await call(app, f"{ALL}.csv")).content.count(b'"FI*ABC",') == 2
    assert (await call(app, f"{ALL}?format=xlsx")).body == b"Format must be one of: json, parquet, fgb, csv"
    assert (await call(app, f"{ALL}.xlsx")).status == 404


async def test_nothing_to_show(app: Any, database: Database, tmp_path: Path) -> None:
    """An empty network is an empty table."""
    await settled(database)
    path, _ = await fetch(app, tmp_path, "parquet")
    assert len(geopandas.read_parquet(path)) == 0
    path, _ = await fetch(app, tmp_path, "fgb")
    assert len(pyogrio.read_dataframe(path)) == 0
    path, _ = await fetch(app, tmp_path, "csv")
    assert len(path.read_text().splitlines()) == 1
