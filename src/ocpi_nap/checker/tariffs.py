"""Tariffs, and whether every connector's price can be found in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ocpi_nap.checker import wire
from ocpi_nap.checker.inventory import Inventory
from ocpi_nap.checker.recorder import Seen
from ocpi_nap.checker.rules import tell
from ocpi_nap.checker.state import Run
from ocpi_nap.model import jsontext
from ocpi_nap.model.objects import Connector, Tariff
from ocpi_nap.ocpi.versions import lift_tariff

_FAST = 50_000
_HIGHEST = {"ENERGY": 2, "TIME": 60, "PARKING_TIME": 60, "FLAT": 50}
"""Euros per kWh, hour and session."""


@dataclass(frozen=True)
class _Known:
    """What of a tariff decides about connectors."""

    ad_hoc: bool
    dimensions: frozenset[str]
    untimed: frozenset[str]
    """Dimensions that count from the first minute."""
    over: bool


@dataclass(frozen=True)
class _Use:
    label: str
    tariffs: tuple[str, ...]
    fast: bool
    seen: Seen | None


class TariffCheck:
    """Takes each tariff, then each connector that names some; `finish` brings them together."""

    def __init__(self, run: Run) -> None:
        assert run.version is not None
        self._run, self._version = run, run.version
        self._known: dict[str, _Known] = {}
        self._uses: list[_Use] = []
        self.inventory = Inventory(run)
        self.failed = ""
        """Why not all tariffs could be read."""

    def take(self, item: bytes, seen: Seen) -> None:
        """One entry of the list."""
        add = self._run.findings.add
        try:
            raw = jsontext.parse(item)
        except jsontext.NotJson as error:
            add("not-json", f"an object of {seen.url}: {error}", seen)
            return
        if not isinstance(raw, dict) or isinstance(raw.get("id"), bool) or not isinstance(raw.get("id"), str | int) or raw["id"] == "":
            return  # told with the page
        self._run.counts["tariffs"] = self._run.counts.get("tariffs", 0) + 1
        label = f"tariff {str(raw['id'])[:60]}"
        self.inventory.add(raw)
        for check, example in wire.odd_forms(item, raw):
            add(check, f"{label}: {example}", seen, part=raw)
        for element in wire.dicts(raw.get("elements")):
            if isinstance(element.get("restrictions"), list):
                add("not-an-object", f"{label}: restrictions is a list", seen, part=raw)
        lifted = lift_tariff(raw, self._version, self._run.options.settings)
        tell(self._run.findings, [*lifted.issues, *lifted.errors], raw, label, "tariff", self._version, seen)
        self._tariff(lifted.node, raw, label, seen)

    def _tariff(self, node: Tariff, raw: dict[str, Any], label: str, seen: Seen) -> None:
        add = self._run.findings.add
        for name in set(node.extra) & set(raw):
            add("unknown-members", f"{label}: {name}"[:120], seen)
        dimensions, untimed = set(), set()
        for element in node.elements:
            for component in element.price_components:
                if component.type is None or component.price is None:
                    continue
                dimensions.add(component.type)
                if element.restrictions is None or not element.restrictions.min_duration:
                    untimed.add(component.type)
                if component.vat is None and node.tax_included != "N/A":
                    add("vat-missing", f"{label}: {component.type} {component.price}", seen, part=raw)
                self._price(node, component.type, component.price, label, seen)
        over = node.end_date_time is not None and node.end_date_time < datetime.now(UTC)
        key = self._version.id_key(node.id)
        self._known[key] = _Known(node.type in (None, "AD_HOC_PAYMENT"), frozenset(dimensions), frozenset(untimed), over)

    def _price(self, node: Tariff, dimension: str, price: Decimal, label: str, seen: Seen) -> None:
        if node.currency == "EUR" and not 0 <= price <= _HIGHEST.get(dimension, price):
            self._run.findings.add("prices-implausible", f"{label}: {dimension} {price} EUR", seen)

    def use(self, label: str, node: Connector, seen: Seen | None) -> None:
        """A connector and the tariffs it names."""
        self._uses.append(_Use(label, tuple(node.tariff_ids), (node.power or 0) >= _FAST, seen))

    def finish(self) -> None:
        """What needs tariffs and connectors."""
        findings = self._run.findings
        if "tariffs" not in self._version.modules:
            findings.ran("tariffs")
            findings.add("prices-not-collected", f"OCPI {self._version.number}")
            return
        if self._run.discovered is None or "tariffs" not in self._run.discovered.endpoints:
            return
        findings.ran("tariffs")
        if self.failed:
            findings.add("tariffs-unread", f"{self.failed}; {len(self._known)} were read")
            return
        for use in self._uses:
            self._judge(use)

    def _judge(self, use: _Use) -> None:
        add = self._run.findings.add
        found: list[_Known] = []
        for identity in use.tariffs:
            known = self._known.get(self._version.id_key(identity))
            if known is None:
                add("tariffs-unknown", f"{use.label}: {identity}"[:200], use.seen)
            else:
                found.append(known)
                if known.over:
                    add("tariff-over", f"{use.label}: {identity}"[:200], use.seen)
        ad_hoc = [known for known in found if known.ad_hoc]
        if not ad_hoc:
            if found or not use.tariffs:
                add("ad-hoc-price-missing", f"{use.label}: {', '.join(use.tariffs) or 'no tariff_ids'}"[:200], use.seen)
            return
        if use.fast and all("ENERGY" not in known.dimensions or known.untimed & {"FLAT", "TIME"} for known in ad_hoc):
            add("fast-not-per-kwh", f"{use.label}: {', '.join(use.tariffs)}"[:200], use.seen)
