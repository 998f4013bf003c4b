"""DATEX II 3.7, the AFIR packages: every item of the annex of (EU) 2025/655 that OCPI or the operator register can give.

Three levels: the location is the site (AFIR pool); EVSEs whose ids differ only behind the last star are one station, any other
EVSE is a station of its own, because OCPI has no such level; the EVSE is the refill point. Versions move with descriptions only,
statuses have their own publication.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ocpi_nap.feed.datex2 import common, places
from ocpi_nap.feed.datex2.common import (
    CONNECTORS,
    DOMESTIC,
    STATUSES,
    DatexOptions,
    Json,
    display_texts,
    kept,
    literal,
    moment,
    texts,
    version_of,
)
from ocpi_nap.feed.datex2.hours import operating_hours
from ocpi_nap.feed.datex2.organisations import helpdesk, operator, owner, provider
from ocpi_nap.feed.datex2.payments import payment
from ocpi_nap.feed.datex2.rates import AD_HOC, electric_energy, energy_prices, energy_rate, rate_id
from ocpi_nap.feed.views import EvseView, LocationView, TariffView, once
from ocpi_nap.model.objects import Connector

_PLUGS = {**CONNECTORS, **{f"DOMESTIC_{letter}": f"domestic{letter}Type" for letter in DOMESTIC}, "MCS": "mcs"}
_METHODS = {
    "RFID_READER": "rfid", "CREDIT_CARD_PAYABLE": "creditCard", "DEBIT_CARD_PAYABLE": "debitCard", "CONTACTLESS_CARD_SUPPORT": "nfc",
    "PED_TERMINAL": "pinpad", "REMOTE_START_STOP_CAPABLE": "apps",
}  # fmt: skip
_SMART = {
    "CHARGING_PREFERENCES_CAPABLE": "powerOptimisationByUser", "CHARGING_PROFILE_CAPABLE": "powerOptimisationByUser",
    "REMOTE_START_STOP_CAPABLE": "remoteMonitoring",
}  # fmt: skip
_SITES = {
    "ON_STREET": "onstreet", "PARKING_GARAGE": "inBuilding", "UNDERGROUND_GARAGE": "inBuilding", "PARKING_LOT": "openSpace",
    "ALONG_MOTORWAY": "openSpace", "ON_DRIVEWAY": "other",
}  # fmt: skip
_USERS = {"CUSTOMERS": "customers", "EMPLOYEES": "employees", "TENANTS": "residents"}
_WORKING = frozenset(("AVAILABLE", "BLOCKED", "CHARGING", "RESERVED"))
_OPERATION = {
    **{status: literal("inOperation") for status in _WORKING}, "INOPERATIVE": literal("notInOperation"),
    "OUTOFORDER": literal("technicalDefect"), "UNKNOWN": literal("unknown"),
}  # fmt: skip
_STATUS = {ocpi: literal(name) for ocpi, name in STATUSES.items()}
_KWH, _VEHICLES = literal("kWh"), [literal("electricVehicle")]


def stations(view: LocationView) -> list[tuple[str, list[tuple[str, EvseView]]]]:
    """(station id, its EVSEs with their ids). The id is made of the site's and of what the EVSEs have in common."""
    shared: dict[str, list[tuple[str, EvseView]]] = {}
    for identity, evse in common.ordered(view):
        shared.setdefault(identity.rpartition("*")[0] if identity.count("*") >= 3 else identity, []).append((identity, evse))
    site = common.location_id(view)
    return [
        (f"{site}*{key if len(members) > 1 else members[0][0]}"[: common.LONGEST], members)
        for key, members in shared.items()
    ]


def _plug_and_charge(evse: EvseView) -> bool:
    return any("PLUG_AND_CHARGE" in capability for connector in evse.doc.connectors for capability in connector.capabilities)


def _unique(values: Iterable[str]) -> list[Json]:
    return [literal(value) for value in dict.fromkeys(values)]


class Aegi:
    """The mapping of 3.7."""

    def __init__(self, options: DatexOptions) -> None:
        self._options = options

    def site(self, view: LocationView) -> Json | None:
        """EnergyInfrastructureSite of a location; None when it is not public."""
        if not view.public:
            return None
        doc, facts, language = view.doc, view.facts, self._options.text_language
        identity, version = common.location_id(view), moment(view.dated(view.row.modified_at))
        groups = stations(view)
        users = [set(evse.doc.parking_restrictions) & set(_USERS) for evse in view.evses]
        return kept({
            "idG": identity, "versionG": version, "name": texts(doc.name, language), "lastUpdated": version,
            "additionalInformation": places.information(view, language),
            "externalIdentifier": [{"identifier": common.clean(view.row.id), "otherTypeOfIdentifier": "ocpiLocationId"}],
            "photoUrl": places.photos(doc.images), "operatingHours": operating_hours(doc.opening_times, identity, version),
            "locationReference": places.location_reference(view, language), "owner": owner(view, self._options),
            "operator": operator(view, self._options), "helpdesk": helpdesk(view, self._options),
            "associatedFacility": places.associated(doc.facilities), "amenities": places.amenities(view),
            "supplementalFacility": places.supplemental(view, identity, version),
            "dedicatedParkingSpaces": places.parking_spaces(doc.parking_places, identity, version),
            "typeOfSite": literal(_SITES[doc.parking_type]) if doc.parking_type in _SITES else None,
            "brand": texts(common.operator_name(view), self._options.language),
            "exclusiveUsers": _unique(_USERS[user] for user in sorted(set.intersection(*users))),
            "serviceType": [{"serviceType": literal(facts["service_type"])}] if facts.get("service_type") else None,
            "entrance": places.entrances(doc.related_locations, language),
            "energyInfrastructureStation": [self._station(name, evses, view, alone=len(groups) == 1) for name, evses in groups],
            "mobilityServiceProvider": [provider(name, self._options) for name in facts.get("mobility_service_providers", ())],
            "roamingPlatform": [provider(name, self._options) for name in facts.get("roaming_platforms", ())],
        })  # fmt: skip

    def _station(self, identity: str, points: list[tuple[str, EvseView]], view: LocationView, *, alone: bool) -> Json:
        """A station; its power is never the sum of its points: the register may know it."""
        evses = [evse for _, evse in points]
        capabilities = [capability for evse in evses for capability in evse.doc.capabilities]
        methods = [_METHODS[capability] for capability in capabilities if capability in _METHODS]
        if any(_plug_and_charge(evse) for evse in evses):
            methods.append("plc")
        version = moment(view.dated(max(evse.row.modified_at for evse in evses)))
        providers = dict.fromkeys(name for evse in evses for name in evse.doc.accepted_service_providers)
        mix = view.doc.energy_mix
        return kept({
            "idG": identity, "versionG": version, "lastUpdated": version,
            "totalMaximumPower": view.facts.get("station_power") if alone else None,
            "authenticationAndIdentificationMethods": _unique(methods), "numberOfRefillPoints": len(evses),
            "renewableSources": mix.is_green_energy if mix else None,
            "mobilityServiceProvider": [provider(name, self._options) for name in providers if common.clean(name).strip()],
            "refillPoint": [{"aegiElectricChargingPoint": self._point(name, evse, view)} for name, evse in points],
        })  # fmt: skip

    def _point(self, identity: str, evse: EvseView, view: LocationView) -> Json:
        doc, language, version = evse.doc, self._options.text_language, moment(view.dated(evse.row.modified_at))
        smart = [_SMART[capability] for capability in doc.capabilities if capability in _SMART]
        if _plug_and_charge(evse):
            smart.append("plugAndCharge")
        parking = [place for place in view.doc.parking_places if place.id in {one.parking_id for one in doc.parking}]
        disabled = "DISABLED" in doc.parking_restrictions or any("DISABLED" in place.vehicle_types for place in parking)
        products = self._products(evse, view)
        means = payment(evse, view)
        first = doc.connectors[0]
        return kept({
            "idG": identity, "versionG": version, "name": texts(doc.physical_reference, language), "lastUpdated": version,
            "accessibility": [literal("disabilityAccessible")] if disabled else None,
            "additionalInformation": [text for text in [display_texts(doc.directions, language)] if text],
            "externalIdentifier": [{"identifier": identity, "typeOfIdentifier": {"value": "extendedG", "extendedValueG": "evseId"}}],
            "photoUrl": places.photos(doc.images), "locationReference": places.point_reference(doc, language),
            "rates": {"afacGeneralRateInformation": {"payment": means}} if means and not _priced(products) else None,
            "applicableForVehicles": places.vehicles(parking),
            "deliveryUnit": _KWH, "reservation": _reservation(doc.capabilities), "energyProduct": products,
            "currentType": literal("dc" if any(common.is_dc(one) for one in doc.connectors) else "ac"), "usageType": _VEHICLES,
            "vehicleToGridCommunicationType": [literal("iso15118")] if _plug_and_charge(evse) else None,
            "numberOfConnectors": len(doc.connectors),
            "availableVoltage": _descending(common.whole(one.max_voltage) for one in doc.connectors),
            "availableChargingPower": _descending(common.power(one) or None for one in doc.connectors),
            "chargingMode": literal(common.charging_mode(first)), "smartRechargingServices": _unique(smart),
            "connector": [_connector(one) for one in doc.connectors],
        })  # fmt: skip

    def _products(self, evse: EvseView, view: LocationView) -> list[Json]:
        """The electricity of a point with its ad hoc prices; each tariff with its own mix is a product of its own."""
        mix = view.doc.energy_mix
        means = payment(evse, view)
        shared: Json = electric_energy(mix, self._options.text_language)
        own: list[Json] = []
        for tariff in ad_hoc_tariffs(evse, view):
            rate = once(tariff, self.rate)
            if rate is None:
                continue
            placed = {**rate, "idG": rate_id(tariff, view.row.id, evse.row.public_id)} | ({"payment": means} if means else {})
            if tariff.doc.energy_mix is None:
                shared.setdefault("energyRate", []).append(placed)
            else:
                energy = electric_energy(tariff.doc.energy_mix, self._options.text_language)
                own.append({"aegiElectricEnergy": energy | {"energyRate": [placed]}})
        return ([{"aegiElectricEnergy": shared}] if shared else []) + own

    def rate(self, tariff: TariffView) -> Json | None:
        """The EnergyRate of a tariff; None when it cannot be written: the tariff publication reports that."""
        try:
            return energy_rate(tariff, self._options.text_language)
        except (ArithmeticError, ValueError):
            return None

    def product(self, tariff: TariffView) -> Json | None:
        """The EnergyProduct by which a tariff stands in its publication; None when it is hidden. Raises for what cannot be written."""
        if not tariff.row.visible or tariff.left_out:
            return None
        rate = energy_rate(tariff, self._options.text_language)
        if rate is None:
            raise ValueError(f"the currency {common.clean(tariff.doc.currency, 20)!r} is not one of ISO 4217")
        mix = electric_energy(tariff.doc.energy_mix, self._options.text_language)
        information = common.url(tariff.doc.tariff_alt_url)
        return {"aegiElectricEnergy": mix | ({"energyProductInformation": information} if information else {}) | {"energyRate": [rate]}}

    def status(self, view: LocationView) -> Json | None:
        """EnergyInfrastructureSiteStatus of a location; None when it is not public."""
        if not view.public:
            return None
        newest = max((tariff.row.modified_at for tariff in view.tariffs.values()), default=None)
        found = []
        for identity, evses in stations(view):
            points = [self._point_status(name, evse, view, newest) for name, evse in evses]
            version, working = points[0]["reference"]["versionG"], evses[0][1].row.status in _WORKING
            if len(evses) > 1:
                version = max(point["reference"]["versionG"] for point in points)
                working = any(evse.row.status in _WORKING for _, evse in evses)
            found.append({
                "reference": _reference(identity, version), "isAvailable": working,
                "refillPointStatus": [{"aegiElectricChargingPointStatus": point} for point in points],
            })  # fmt: skip
        return {
            "reference": _reference(common.location_id(view), moment(view.dated(view.row.modified_at))),
            "lastUpdated": moment(view.modified_at),
            "energyInfrastructureStationStatus": found,
        }  # fmt: skip

    def _point_status(self, identity: str, evse: EvseView, view: LocationView, newest_price: datetime | None) -> Json:
        row, described = evse.row, view.dated(evse.row.modified_at)
        found: Json = {
            "reference": {"targetClass": "FacilityObject", "idG": identity, "versionG": version_of(described)},
            "lastUpdated": moment(row.status_at),
            "operationStatus": _OPERATION.get(row.status) or _OPERATION["UNKNOWN"], "status": _STATUS.get(row.status) or _STATUS["UNKNOWN"],
        }  # fmt: skip
        if newest_price is not None and newest_price > described:
            updates = self._rate_updates(evse, view, described)
            if updates:
                found["energyRateUpdate"] = updates
        if not evse.doc.status_schedule:
            return found
        planned = [
            {"status": _STATUS[one.status], "overallPeriod": kept({
                "overallStartTime": moment(one.period_begin), "overallEndTime": moment(one.period_end) if one.period_end else None,
            })}
            for one in evse.doc.status_schedule
            if one.period_begin is not None and one.status in _STATUS
        ]  # fmt: skip
        if planned:
            found["plannedRefillPointStatus"] = planned
        return found

    def _rate_updates(self, evse: EvseView, view: LocationView, described: datetime) -> list[Json]:
        """Ad hoc prices that changed after the description of the point, by whose version a reader knows its table."""
        found = []
        for tariff in ad_hoc_tariffs(evse, view):
            if tariff.row.modified_at <= described or once(tariff, self.rate) is None:
                continue
            found.append({
                "lastUpdated": moment(tariff.row.modified_at),
                "energyRateReference": {"targetClass": "EnergyRate", "idG": rate_id(tariff, view.row.id, evse.row.public_id)},
                "energyPrice": energy_prices(tariff.doc, self._options.text_language),
            })  # fmt: skip
        return found


def ad_hoc_tariffs(evse: EvseView, view: LocationView) -> list[TariffView]:
    """The tariffs of an EVSE that an ad hoc customer pays: those of that type, else those without a type."""
    found = [
        view.tariffs[identity]
        for identity in dict.fromkeys(identity for connector in evse.doc.connectors for identity in connector.tariff_ids)
        if identity in view.tariffs
    ]
    found = [tariff for tariff in found if tariff.row.visible and tariff.doc.type in AD_HOC]
    return [tariff for tariff in found if tariff.doc.type is not None] or found


def _reference(identity: str, version: str) -> Json:
    return {"targetClass": "FacilityObject", "idG": identity, "versionG": version}


def _priced(products: list[Json]) -> bool:
    return any("energyRate" in product["aegiElectricEnergy"] for product in products)


def _reservation(capabilities: list[str]) -> Json | None:
    """Unknown where no capability is stated."""
    return literal("optional" if "RESERVABLE" in capabilities else "notAvailable") if capabilities else None


def _descending(values: Iterable[Any]) -> list[int]:
    return sorted({value for value in values if value is not None}, reverse=True)


def _connector(connector: Connector) -> Json:
    plug, shape = _PLUGS.get(connector.standard or ""), common.connector_format(connector)
    return kept({
        "connectorType": literal(plug or "other"), "otherConnector": None if plug else common.clean(connector.standard) or None,
        "connectorFormat": literal(shape) if shape else None, "maxPowerAtSocket": common.power(connector),
        "voltage": common.whole(connector.max_voltage), "maximumCurrent": common.whole(connector.max_amperage),
        "externalIdentifier": [{"identifier": common.clean(connector.id), "otherTypeOfIdentifier": "ocpiConnectorId"}],
    })  # fmt: skip
