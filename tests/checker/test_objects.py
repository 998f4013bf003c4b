"""What the checker tells about objects beyond the simulator's faults: each row changes a healthy network in one way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ocpi_nap.simulator.network import Json, Network
from ocpi_nap.simulator.platform import SimulatedPlatform
from tests.checker.conftest import checked, names, open_to_checks, platform_spec

Change = Callable[[Network], Any]


def locations(**values: Any) -> Change:
    return lambda network: [location.update(values) for location in network.locations]


def evses(**values: Any) -> Change:
    return lambda network: [evse.update(values) for location in network.locations for evse in location["evses"]]


def _connectors(network: Network) -> Iterator[Json]:
    for location in network.locations:
        for evse in location["evses"]:
            yield from evse["connectors"]


def connectors(**values: Any) -> Change:
    """None takes a member away."""

    def change(network: Network) -> None:
        for connector in _connectors(network):
            connector.update(values)
            for name in [name for name, value in values.items() if value is None]:
                del connector[name]

    return change


def without(level: str, *members: str) -> Change:
    def change(network: Network) -> None:
        for location in network.locations:
            for node in [location] if level == "location" else location["evses"]:
                for name in members:
                    node.pop(name, None)

    return change


def tariffs(**values: Any) -> Change:
    return lambda network: [tariff.update(values) for tariff in network.tariffs]


def prices(kind: str, price: Any, **more: Any) -> Change:
    component = {"type": kind, "price": price, "vat": 25.5, "step_size": 1}
    return tariffs(elements=[{"price_components": [component], **more}])


CASES: dict[str, list[Change]] = {
    "ad-hoc-price-missing": [tariffs(type="REGULAR"), connectors(tariff_ids=None)],
    "capabilities-missing": [evses(capabilities=[])],
    "coordinates-abroad": [locations(coordinates={"latitude": "52.520008", "longitude": "13.404954"})],
    "coordinates-imprecise": [locations(coordinates={"latitude": "60.17", "longitude": "24.94"})],
    "currency-unknown": [tariffs(currency="XXQ")],
    "energy-mix-sum": [locations(energy_mix={"is_green_energy": True, "energy_sources": [{"source": "WIND", "percentage": 60}]})],
    "evse-id-form": [evses(evse_id="charger 7"), evses(evse_id="+49*810*000*438")],
    "evse-id-party": [evses(evse_id="FI*XYZ*E1")],
    "fast-not-per-kwh": [prices("FLAT", 5), prices("TIME", 6)],
    "hours-missing": [without("location", "opening_times")],
    "hours-odd": [locations(opening_times={"twentyfourseven": True, "regular_hours": [
        {"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}]})],
    "name-missing": [without("location", "name")],
    "nothing-published": [locations(publish=False)],
    "power-implausible": [connectors(max_electric_power=5_000_000)],
    "power-missing": [connectors(max_electric_power=None, max_voltage=0), connectors(max_electric_power=0)],
    "power-of-one-phase": [connectors(power_type="AC_3_PHASE", max_voltage=230, max_amperage=32, max_electric_power=7360)],
    "prices-implausible": [prices("ENERGY", 29), prices("ENERGY", -0.1)],
    "prices-unusable": [prices("ENERGY", "free"), prices("BY_MOOD", 1)],
    "standard-and-current": [connectors(standard="CHADEMO", power_type="AC_3_PHASE")],
    "status-unknown": [evses(status="UNKNOWN")],
    "step-size": [prices("ENERGY", 0.3, restrictions={}), tariffs(elements=[{"price_components": [
        {"type": "ENERGY", "price": 0.3, "vat": 25.5, "step_size": 0}]}])][1:],
    "tariff-over": [tariffs(end_date_time="2020-01-01T00:00:00Z")],
    "time-zone-form": [locations(time_zone="Helsinki")],
    "times-odd": [locations(last_updated="2026-01-01T10:00Z"), locations(last_updated="2026-01-01T10:00:00.123456789Z")],
    "uid-missing": [without("evse", "uid")],
    "url-form": [locations(operator={"name": "Abc", "website": "www.abc.example"})],
    "voltage-line-to-line": [connectors(power_type="AC_3_PHASE", max_voltage=400)],
    "wrong-type": [locations(opening_times="always", address=["a"]), locations(charging_when_closed=7)],
}  # fmt: skip


@pytest.mark.parametrize(("finding", "change"), [(name, change) for name, changes in CASES.items() for change in changes])
async def test_told(finding: str, change: Change) -> None:
    async with SimulatedPlatform(platform_spec("2.2.1")) as platform:
        change(platform.network)
        run = await checked(platform, token=open_to_checks(platform))
        assert finding in names(run)


async def test_prices_that_the_regulation_allows() -> None:
    """Energy with a fee for parking, and time only after a while."""
    energy = {"price_components": [{"type": "ENERGY", "price": 0.3, "vat": 25.5, "step_size": 1}]}
    later = {"price_components": [{"type": "TIME", "price": 6, "vat": 25.5, "step_size": 60}], "restrictions": {"min_duration": 3600}}
    async with SimulatedPlatform(platform_spec("2.2.1")) as platform:
        tariffs(elements=[energy, later])(platform.network)
        run = await checked(platform, token=open_to_checks(platform))
        assert not names(run, "error", "warning")


async def test_order_that_changes() -> None:
    """I-57: the second reading begins with other objects."""
    async with SimulatedPlatform(platform_spec("2.2.1")) as platform:
        token = open_to_checks(platform)
        served, asked = platform._objects, []

        def turning(reply: Any, path: list[str]) -> Any:
            asked.append(path)
            platform.network.locations.reverse()
            return served(reply, path)

        platform._objects = turning  # type: ignore[method-assign]
        run = await checked(platform, token=token)
        assert asked and names(run) & {"order-unstable", "pages-overlap"}


async def test_objects_of_others() -> None:
    """D4: what is not of an operator that the NAP was told is not taken, and said."""
    from ocpi_nap.model.platform import Operator

    async with SimulatedPlatform(platform_spec("2.3.0")) as platform:
        one = (Operator(country_code="FI", party_id="ABC", name="Abc"),)
        run = await checked(platform, token=open_to_checks(platform), operators=one)
        assert "foreign-objects" in names(run, "warning")
