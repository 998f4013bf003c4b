"""A deterministic charging network as a CPO holds it, in the wire shape of its OCPI version.

The same specification, seed and epoch always give the same objects, so that a restarted platform serves what it served before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.ocpi.versions import VERSIONS, Version
from ocpi_nap.simulator.towns import SITES, STREETS, TOWNS, Town

Json = dict[str, Any]

STATUS_MIX = {"AVAILABLE": 14548, "CHARGING": 3424, "OUTOFORDER": 888, "UNKNOWN": 302, "INOPERATIVE": 219, "BLOCKED": 88, "RESERVED": 34}
"""Statuses of the Finnish network on 2026-06-18 (contract section 3)."""
_STATUSES, _WEIGHTS = list(STATUS_MIX), list(STATUS_MIX.values())
_LARGEST_SITE = 48


@dataclass(frozen=True, slots=True)
class SimulatedOperator:
    """An operator on a simulated platform."""

    party_id: str
    name: str
    url: str
    country_code: str = "FI"

    @property
    def id(self) -> str:
        """``FI*ABC``."""
        return f"{self.country_code}*{self.party_id}"


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """How large a network is. ``connectors`` beyond one per EVSE become second (CHAdeMO) cables of fast chargers."""

    version: str
    operators: tuple[SimulatedOperator, ...]
    locations: int
    evses: int
    connectors: int
    tariffs: int
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.operators or not 0 < self.locations <= self.evses <= self.locations * _LARGEST_SITE:
            raise ValueError(f"operators, and 1 to {_LARGEST_SITE} EVSEs a location are needed")
        if not self.evses <= self.connectors <= 2 * self.evses or self.tariffs < 0:
            raise ValueError("one or two connectors an EVSE, and no negative number of tariffs")


class Network:
    """The objects, and the change of a status in them."""

    def __init__(self, spec: NetworkSpec, epoch: datetime) -> None:
        self.spec = spec
        self.version: Version = VERSIONS[spec.version]
        self.epoch = epoch
        self.random = random.Random(spec.seed)
        self.tariffs = [self._tariff(number) for number in range(spec.tariffs)]
        self.locations = list(self._all_locations())
        self.places = [(i, j) for i, location in enumerate(self.locations) for j in range(len(location["evses"]))]

    def location_party(self, number: int) -> SimulatedOperator:
        """Whose the location of that number is: the operators take turns."""
        return self.spec.operators[number % len(self.spec.operators)]

    def change_status(self, chance: random.Random, now: datetime) -> tuple[int, int] | None:
        """One EVSE changes in a way that keeps the mix of statuses as it is; returns (location, EVSE) numbers, None for no change."""
        i, j = self.places[chance.randrange(len(self.places))]
        status = chance.choices(_STATUSES, _WEIGHTS)[0]
        if self.locations[i]["evses"][j]["status"] == status:
            return None
        self.set_status(i, j, status, format_ms(now))
        return i, j

    def set_status(self, i: int, j: int, status: str, last_updated: str) -> None:
        """Set one status; the location's last_updated follows (OCPI Location, last_updated)."""
        location = self.locations[i]
        location["evses"][j] |= {"status": status, "last_updated": last_updated}
        location["last_updated"] = max(location["last_updated"], last_updated)

    def _all_locations(self) -> Iterator[Json]:
        spec = self.spec
        sizes = _shares(self.random, spec.evses, spec.locations)
        doubled = set(self.random.sample(range(spec.evses), spec.connectors - spec.evses))
        first = 0
        for number, size in enumerate(sizes):
            yield self._location(number, size, [n in doubled for n in range(first, first + size)])
            first += size

    def _location(self, number: int, size: int, doubled: Sequence[bool]) -> Json:
        chance, operator = self.random, self.location_party(number)
        town = chance.choices(TOWNS, [t.thousands for t in TOWNS])[0]
        site, identity = chance.choice(SITES), f"{operator.party_id}-{number + 1:05d}"
        updated = format_ms(self.epoch - timedelta(days=chance.randint(1, 700), milliseconds=chance.randint(0, 86_399_999)))
        power = chance.choices((11, 22, 50, 150, 300), (15, 45, 12, 20, 8))[0]
        evses = [self._evse(operator, number, n, power, two, updated) for n, two in enumerate(doubled)]
        open_always = chance.random() < 0.85
        location: Json = {
            "id": identity, "name": f"{town.name} {site}", "address": f"{chance.choice(STREETS)} {chance.randint(1, 120)}",
            "city": town.name, "postal_code": town.postal_code, "country": "FIN", "coordinates": self._coordinates(town),
            "evses": evses, "operator": {"name": operator.name, "website": operator.url},
            "opening_times": {"twentyfourseven": True} if open_always else _opening_hours(), "charging_when_closed": open_always,
            "time_zone": "Europe/Helsinki", "last_updated": max([updated, *(e["last_updated"] for e in evses)]),
        }  # fmt: skip
        parking = "PARKING_GARAGE" if site in ("Pysäköintitalo", "Kauppakeskus") else "PARKING_LOT"
        if not self.version.party_in_object:
            return location | {"type": "UNDERGROUND_GARAGE" if parking == "PARKING_GARAGE" else "PARKING_LOT"}
        party = {"country_code": operator.country_code, "party_id": operator.party_id}
        return party | location | {"publish": True, "parking_type": parking}

    def _coordinates(self, town: Town) -> Json:
        spread = 0.008 + town.thousands**0.5 * 0.0016
        latitude = town.latitude + self.random.gauss(0, spread / 2)
        return {"latitude": f"{latitude:.6f}", "longitude": f"{town.longitude + self.random.gauss(0, spread):.6f}"}

    def _evse(self, operator: SimulatedOperator, number: int, n: int, power: int, two: bool, updated: str) -> Json:
        chance = self.random
        status_at = format_ms(self.epoch - timedelta(milliseconds=chance.randint(1, 86_400_000)))
        kilowatts = 50 if two else power
        tariffs = self._tariff_ids(number)
        connectors = [self._connector("1", "DC" if kilowatts >= 50 else "AC", kilowatts, tariffs, updated)]
        if two:
            connectors.append(self._connector("2", "CHADEMO", 50, tariffs, updated))
        return {
            "uid": f"{operator.party_id}{number + 1:05d}{n + 1:02d}", "evse_id": f"{operator.id}*E{number + 1:05d}{n + 1:02d}",
            "status": chance.choices(_STATUSES, _WEIGHTS)[0],
            "capabilities": ["RFID_READER", "REMOTE_START_STOP_CAPABLE"] + (["CREDIT_CARD_PAYABLE"] if kilowatts >= 50 else []),
            "connectors": connectors, "physical_reference": str(n + 1), "last_updated": status_at,
        }  # fmt: skip

    def _connector(self, identity: str, kind: str, kilowatts: int, tariffs: list[str], updated: str) -> Json:
        if kind == "AC":
            found = {"id": identity, "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE"}
            volts, amperes = 230, 16 if kilowatts == 11 else 32
        else:
            standard = "CHADEMO" if kind == "CHADEMO" else "IEC_62196_T2_COMBO"
            found = {"id": identity, "standard": standard, "format": "CABLE", "power_type": "DC"}
            volts, amperes = (500, 125) if kilowatts == 50 else (920, 500)
        if not self.version.party_in_object:
            return {**found, "voltage": volts, "amperage": amperes, "last_updated": updated}
        extra: Json = {"max_voltage": volts, "max_amperage": amperes, "max_electric_power": kilowatts * 1000}
        return found | extra | ({"tariff_ids": tariffs} if tariffs else {}) | {"last_updated": updated}

    def _tariff_ids(self, number: int) -> list[str]:
        """A tariff of the same operator: tariffs, too, are handed round."""
        count, turns = self.spec.tariffs, len(self.spec.operators)
        if count < turns:
            return []
        rounds = count // turns
        return [self.tariffs[number // turns % rounds * turns + number % turns]["id"]]

    def _tariff(self, number: int) -> Json:
        chance, operator = self.random, self.location_party(number)
        price = round(chance.uniform(0.19, 0.69), 2)
        energy = {"type": "ENERGY", "price": price, "vat": 25.5, "step_size": 1}
        elements: list[Json] = [{"price_components": [energy]}]
        if chance.random() < 0.3:
            night = {
                "price_components": [energy | {"price": round(price * 0.8, 2)}],
                "restrictions": {"start_time": "22:00", "end_time": "07:00"},
            }
            elements = [night, *elements]
        if chance.random() < 0.2:
            parking = {"type": "PARKING_TIME", "price": 6.0, "vat": 25.5, "step_size": 60}
            elements.append({"price_components": [parking], "restrictions": {"min_duration": 10800}})
        tariff: Json = {
            "country_code": operator.country_code, "party_id": operator.party_id, "id": f"{operator.party_id}-T{number + 1:04d}",
            "currency": "EUR", "type": "AD_HOC_PAYMENT",
            "tariff_alt_text": [{"language": "fi", "text": f"{price:.2f} €/kWh".replace(".", ",")}],
            "elements": elements, "last_updated": format_ms(self.epoch - timedelta(days=chance.randint(1, 300))),
        }  # fmt: skip
        return tariff | ({"tax_included": "NO"} if "tax_included" in self.version.required["tariff"] else {})


def _opening_hours() -> Json:
    hours = [{"weekday": day, "period_begin": "07:00", "period_end": "21:00"} for day in range(1, 7)]
    return {"twentyfourseven": False, "regular_hours": [*hours, {"weekday": 7, "period_begin": "10:00", "period_end": "18:00"}]}


def _shares(chance: random.Random, total: int, count: int) -> list[int]:
    """``total`` in ``count`` unequal parts of at least 1 and at most the largest site."""
    weights = [chance.expovariate(1.0) + 0.1 for _ in range(count)]
    scale = (total - count) / sum(weights)
    shares = [1 + min(int(weight * scale), _LARGEST_SITE - 1) for weight in weights]
    missing = total - sum(shares)
    while missing:
        at = chance.randrange(count)
        if shares[at] < _LARGEST_SITE:
            shares[at] += 1
            missing -= 1
    return shares
