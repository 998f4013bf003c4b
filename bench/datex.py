"""DATEX II of a made network: the CPU time of a table and of the statuses from scratch, and of a table with 1 % of it changed."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from ocpi_nap.app import collect_garbage_rarely
from ocpi_nap.feed.datex2.common import DatexOptions
from ocpi_nap.feed.datex2.publications import datex_forms
from ocpi_nap.feed.forms import Envelope, Form
from ocpi_nap.feed.views import LocationView, TariffView, location_view, tariff_view
from ocpi_nap.model import jsontext, objects
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi.versions import VERSIONS, lift_evse, lift_location, lift_tariff
from ocpi_nap.simulator.network import Network, NetworkSpec, SimulatedOperator
from ocpi_nap.store.feed import FeedEvse, FeedLocation, FeedTariff

_EPOCH = datetime(2026, 11, 24, tzinfo=UTC)
_OPERATORS = tuple(SimulatedOperator(f"B{n:02d}", f"Operator {n}", f"https://b{n}.example") for n in range(10))
_V = VERSIONS["2.3.0"]


def _rows(locations: int, evses: int) -> tuple[list[FeedLocation], dict[tuple[str, str], TariffView]]:
    """What the database would give."""
    network = Network(NetworkSpec("2.3.0", _OPERATORS, locations, evses, int(evses * 1.01), tariffs=locations // 2), _EPOCH)
    tariffs = {}
    for pk, raw in enumerate(network.tariffs):
        doc = lift_tariff(jsontext.parse(msgspec.json.encode(raw)), _V, PlatformSettings()).node
        row = FeedTariff(pk, raw["country_code"], raw["party_id"], doc.id, objects.encode(doc), _EPOCH, _EPOCH, True)
        tariffs[raw["party_id"], doc.id] = tariff_view(row)
    rows = []
    for pk, raw in enumerate(network.locations):
        raw = jsontext.parse(msgspec.json.encode(raw))
        node = lift_location(raw, _V, PlatformSettings()).node
        row = FeedLocation(
            pk, raw["country_code"], raw["party_id"], node.id, objects.encode(node), msgspec.json.encode({"operator": raw["operator"]}),
            _EPOCH, _EPOCH, None, True, None, None, None,
        )  # fmt: skip
        for item in raw["evses"]:
            evse = lift_evse(item, _V, PlatformSettings()).node
            row.evses.append(
                FeedEvse(evse.evse_id or "", objects.encode(evse), b"{}", _EPOCH, _EPOCH, evse.status or "", _EPOCH, True, None)
            )
        rows.append(row)
    return rows, tariffs


def _views(rows: list[FeedLocation], tariffs: dict[tuple[str, str], TariffView], at_once: int = 250) -> Iterator[LocationView]:
    """Decoded a batch at a time, as the renderer does."""
    for start in range(0, len(rows), at_once):
        for row in rows[start : start + at_once]:
            view = location_view(row)
            names = {name for evse in view.evses for connector in evse.doc.connectors for name in connector.tariff_ids}
            view.tariffs = {name: tariffs[row.party_id, name] for name in names if (row.party_id, name) in tariffs}
            yield view


class _Kept:
    """Fragments of some forms by location."""

    def __init__(self, forms: list[Form[Any]]) -> None:
        self.forms = forms
        self.fragments: list[dict[int, tuple[str, bytes]]] = [{} for _ in forms]

    def render(self, views: Iterator[LocationView]) -> None:
        for view in views:
            for form, kept in zip(self.forms, self.fragments, strict=True):
                fragment = form.fragment(view)
                if fragment is not None:
                    kept[view.row.pk] = (view.operator_id, fragment)

    def publish(self) -> int:
        """Put the publications together, in pieces as they are written to a file; returns their size."""
        size = 0
        envelope = Envelope(modified_at=_EPOCH, published_at=_EPOCH)
        for form, kept in zip(self.forms, self.fragments, strict=True):
            groups: dict[str, list[bytes]] = {}
            for operator, fragment in kept.values():
                groups.setdefault(operator, []).append(fragment)
            size += sum(map(len, form.join(envelope, sorted(groups.items()))))
        return size


def _cpu(act: Any) -> float:
    gc.collect()
    began = time.process_time()
    act()
    return time.process_time() - began


def run(locations: int = 10_000, evses: int = 50_000) -> dict[str, Any]:
    """Seconds of CPU. Decoding of the stored objects is part of all of them, loading them from the database is not."""
    rows, tariffs = _rows(locations, evses)
    collect_garbage_rarely()

    def refuse(view: object, name: str, why: str) -> None:
        raise AssertionError(f"{name}: {why}")

    forms = {form.name: form for form in datex_forms(DatexOptions(), refuse)}
    found: dict[str, Any] = {}
    for version in ("3.6", "3.7"):
        pair = [forms[f"datex2-{version}.{encoding}"] for encoding in ("json", "xml")]
        kept = _Kept(pair)

        def whole(kept: _Kept = kept) -> None:
            kept.render(_views(rows, tariffs))
            kept.publish()

        def part(kept: _Kept = kept) -> None:
            kept.render(_views(rows[::100], tariffs))
            kept.publish()

        found[f"datex_{version}_table_s"] = _cpu(whole)
        found[f"datex_{version}_changed_s"] = _cpu(part)
        found[f"datex_{version}_table_mb"] = kept.publish() / 1e6
        for encoding in ("json", "xml"):
            statuses = _Kept([forms[f"statuses-datex2-{version}.{encoding}"]])

            def status(statuses: _Kept = statuses) -> None:
                statuses.render(_views(rows, tariffs))
                statuses.publish()

            found[f"datex_{version}_status_{encoding}_s"] = _cpu(status)
    found["datex_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:32} {value:8.2f}")
