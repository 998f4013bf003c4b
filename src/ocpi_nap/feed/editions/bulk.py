"""All locations as a table for GIS and analysis: GeoParquet, FlatGeobuf and CSV, one row a location, made from the fragments.

Run as `python -m ocpi_nap.feed.editions.bulk FRAGMENTS SNAPSHOTS`: a process of its own, so that Arrow and GDAL give their memory back.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha1
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.csv import WriteOptions, write_csv
from pyogrio import set_gdal_config_options, write_arrow

from ocpi_nap.feed.dates import date_of
from ocpi_nap.feed.editions.blockindex import IndexWriter, Kept
from ocpi_nap.feed.editions.bulkfeed import FORMATS, edition_name
from ocpi_nap.feed.editions.edition import Edition, describe, described
from ocpi_nap.feed.editions.segments import EditionWriter
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.fragments.tables import Reading
from ocpi_nap.feed.http import etag
from ocpi_nap.feed.render import LOCATIONS, STATUSES
from ocpi_nap.model.timestamps import from_micros

_AT_ONCE = 5000
"""Rows of a batch: bounds the memory."""
STATUS_COLUMNS = ("available", "blocked", "charging", "inoperative", "outoforder", "reserved", "unknown")
_MOMENT = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [
        ("operator_id", pa.string()), ("operator_name", pa.string()), ("location_id", pa.string()), ("name", pa.string()),
        ("street", pa.string()), ("city", pa.string()), ("postal_code", pa.string()), ("country_code", pa.string()),
        ("longitude", pa.float64()), ("latitude", pa.float64()), ("parking_type", pa.string()), ("twenty_four_seven", pa.bool_()),
        ("evses", pa.int32()), ("connectors", pa.int32()), ("max_power_w", pa.int64()), ("standards", pa.list_(pa.string())),
        *((name, pa.int32()) for name in STATUS_COLUMNS),
        ("created_at", _MOMENT), ("modified_at", _MOMENT), ("evses_json", pa.string()), ("geometry", pa.binary()),
    ]
)  # fmt: skip
Files = dict[str, tuple[str, int]]
_POINT = struct.Struct("<BIdd")
_GEO = {"version": "1.1.0", "primary_column": "geometry"}


class _Feature(msgspec.Struct):
    geometry: dict[str, Any]
    properties: dict[str, Any]


class _Status(msgspec.Struct):
    evseId: str
    status: str


_decode_feature = msgspec.json.Decoder(_Feature).decode
_decode_statuses = msgspec.json.Decoder(list[_Status]).decode


def row(feature: bytes, statuses: bytes) -> dict[str, Any]:
    """One location with its EVSEs counted; `evses_json` has them with their connectors and statuses."""
    found = _decode_feature(feature)
    properties, (longitude, latitude) = found.properties, found.geometry["coordinates"]
    address, operator, hours = properties["address"], properties["operator"], properties.get("openingTimes") or {}
    status = {item.evseId: item.status for item in _decode_statuses(b"[" + statuses + b"]")}
    evses = properties["evses"]
    connectors = [connector for evse in evses for connector in evse["connectors"]]
    counts = Counter(status.get(evse["id"], "UNKNOWN").lower() for evse in evses)
    shown = [
        {"id": evse["id"], "status": status.get(evse["id"], "UNKNOWN"), "connectors": [
            {name: connector[name] for name in ("standard", "format", "powerType", "maxElectricPower", "tariffIds")}
            for connector in evse["connectors"]
        ]}
        for evse in evses
    ]  # fmt: skip
    return {
        "operator_id": operator["id"], "operator_name": operator["details"].get("name"), "location_id": properties["id"],
        "name": properties.get("name"), "street": address.get("street"), "city": address.get("city"),
        "postal_code": address.get("postalCode"), "country_code": address.get("countryCode"),
        "longitude": longitude, "latitude": latitude, "parking_type": properties.get("parkingType"),
        "twenty_four_seven": hours.get("twentyFourSeven"), "evses": len(evses), "connectors": len(connectors),
        "max_power_w": max((c["maxElectricPower"] for c in connectors if c["maxElectricPower"] is not None), default=None),
        "standards": sorted({c["standard"] for c in connectors if c["standard"]}), **{name: counts[name] for name in STATUS_COLUMNS},
        "created_at": properties["createdAt"], "modified_at": properties["modifiedAt"],
        "evses_json": msgspec.json.encode(shown).decode(), "geometry": _POINT.pack(1, 1, longitude, latitude),
    }  # fmt: skip


def rows(reading: Reading) -> Iterator[dict[str, Any]]:
    """All published locations in feed order."""
    for (*_, feature), (*_, statuses) in zip(reading.scan(LOCATIONS.name), reading.scan(STATUSES.name), strict=True):
        if len(feature):
            yield row(bytes(feature), bytes(statuses))


def _batches(found: Iterable[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    iterator = iter(found)
    while part := list(islice(iterator, _AT_ONCE)):
        columns = []
        for field in SCHEMA:
            values = [item[field.name] for item in part]
            columns.append(pa.array(values, pa.string()).cast(_MOMENT) if field.type == _MOMENT else pa.array(values, field.type))
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _write_parquet(path: Path, found: Iterable[dict[str, Any]]) -> None:
    box = [180.0, 90.0, -180.0, -90.0]
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for batch in _batches(found):
            longitudes, latitudes = batch.column("longitude").to_pylist(), batch.column("latitude").to_pylist()
            box = [min(box[0], *longitudes), min(box[1], *latitudes), max(box[2], *longitudes), max(box[3], *latitudes)]
            writer.write_batch(batch)
        geometry: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["Point"]}
        if box[0] <= box[2]:
            geometry["bbox"] = box
        writer.add_key_value_metadata({"geo": json.dumps({**_GEO, "columns": {"geometry": geometry}})})


_FLAT = SCHEMA.set(SCHEMA.get_field_index("standards"), pa.field("standards", pa.string()))
"""For formats without lists: the standards are joined by commas."""


def _flat(parquet: Path) -> Iterator[pa.RecordBatch]:
    """The rows of the GeoParquet file again, which is quicker than from the fragments."""
    place = SCHEMA.get_field_index("standards")
    for batch in pq.ParquetFile(parquet).iter_batches(_AT_ONCE):
        columns = batch.columns
        columns[place] = pc.binary_join(columns[place], ",")
        yield pa.RecordBatch.from_arrays(columns, schema=_FLAT)


def _write_flatgeobuf(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    reader = pa.RecordBatchReader.from_batches(_FLAT, batches)
    write_arrow(reader, path, driver="FlatGeobuf", geometry_name="geometry", geometry_type="Point", crs="EPSG:4326", layer="locations")


def _csv(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    names = [name for name in SCHEMA.names if name != "geometry"]
    yield (",".join(names) + "\n").encode()
    for batch in batches:
        columns = [
            pc.strftime(batch.column(name), "%Y-%m-%dT%H:%M:%SZ") if SCHEMA.field(name).type == _MOMENT else batch.column(name)
            for name in names
        ]  # fmt: skip
        sink = pa.BufferOutputStream()
        write_csv(pa.RecordBatch.from_arrays(columns, names=names), sink, WriteOptions(include_header=False))
        yield sink.getvalue().to_pybytes()


def _whole_file(folder: Path, name: str, write: Callable[[Path], None]) -> tuple[str, int, Files]:
    """A format that cannot be streamed into a compressor: (ETag, length, files)."""
    aside = folder / f".{name}"
    aside.unlink(missing_ok=True)
    try:
        write(aside)
        digest, length = sha1(usedforsecurity=False), 0
        with aside.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
                length += len(part)
            os.fsync(file.fileno())
        final = f"{name}~{digest.hexdigest()[:16]}.identity"
        aside.replace(folder / final)
    finally:
        aside.unlink(missing_ok=True)
    return etag(length, digest.digest()), length, {"identity": (final, length)}


def _compressed(folder: Path, name: str, pieces: Iterable[bytes]) -> tuple[str, int, Files, str]:
    """(ETag, length, files, index)"""
    with EditionWriter(folder, name) as writer, IndexWriter(folder, name) as kept:
        for segment in writer.write(pieces):
            kept.add(Kept(0, False, 0, 0, segment))
        tag, files = writer.finish()
        return tag, writer.length, files, kept.finish(writer.mark)


def make(reading: Reading, folder: Path) -> None:
    """All formats, of one state of the fragments."""
    folder.mkdir(parents=True, exist_ok=True)
    state, read_at = reading.state, time.time()
    latest, count = state.floor, 0
    for _, modified, shown in reading.heads(LOCATIONS.name):
        latest, count = max(latest, modified), count + shown

    def done(kind: str, began: float, tag: str, length: int, files: Files, index: str = "") -> None:
        dated = date_of(tag, from_micros(latest), described(folder, edition_name(kind)))
        describe(folder, Edition(
            name=edition_name(kind), media_type=FORMATS[kind][0], filling=state.filling, revision=state.revisions.get(LOCATIONS.name, 0),
            position=state.position, read_at=read_at, etag=tag, length=length, dated=dated, rows=count, built_at=time.time(),
            seconds=time.process_time() - began, files=files, index=index,
        ))  # fmt: skip

    began = time.process_time()
    parquet = _whole_file(folder, edition_name("parquet"), lambda path: _write_parquet(path, rows(reading)))
    done("parquet", began, *parquet)
    source, began = folder / parquet[2]["identity"][0], time.process_time()
    done("fgb", began, *_whole_file(folder, edition_name("fgb"), lambda path: _write_flatgeobuf(path, _flat(source))))
    began = time.process_time()
    done("csv", began, *_compressed(folder, edition_name("csv"), _csv(_flat(source))))


if __name__ == "__main__":
    os.nice(10)
    set_gdal_config_options({"CPL_TMPDIR": sys.argv[2]})
    with FragmentStore.open(Path(sys.argv[1])).reading() as reading:
        make(reading, Path(sys.argv[2]))
