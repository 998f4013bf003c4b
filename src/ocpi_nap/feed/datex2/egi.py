"""DATEX II 3.6, package EnergyInfrastructure, as Fintraffic publishes it: what contract sections 5 and 6 have, and no more.

Objects are made in official JSON shape; the real service's JSON differs from it in the address alone, see `as_published`.
"""

from __future__ import annotations

from typing import Any

from ocpi_nap.feed.datex2 import common
from ocpi_nap.feed.datex2.common import CONNECTORS, DOMESTIC, STATUSES, DatexOptions, Json, literal, moment, texts
from ocpi_nap.feed.datex2.table import load
from ocpi_nap.feed.views import EvseView, LocationView
from ocpi_nap.model.objects import Connector

_PLUGS = {**CONNECTORS, **{f"DOMESTIC_{letter}": f"domestic{letter}" for letter in DOMESTIC}}
_MEANS = {"CREDIT_CARD_PAYABLE": "paymentCreditCard", "DEBIT_CARD_PAYABLE": "paymentDebitCard"}
_MEANS_3_6 = frozenset(load("3.6").simple["fac:_MeansOfPaymentEnum"].values)
_RFID = [literal("rfid")]
_FORMATS = {name: literal(name) for name in ("socket", "cableMode3", "otherCable")}
_STATUS = {ocpi: literal(name) for ocpi, name in STATUSES.items()}


class Egi:
    """The mapping of 3.6."""

    def __init__(self, options: DatexOptions) -> None:
        self._language = options.language
        self._text_language = options.text_language

    def site(self, view: LocationView) -> Json | None:
        """EnergyInfrastructureSite of a location; None when it is not public."""
        if not view.public:
            return None
        doc, version = view.doc, moment(view.dated(view.modified_at))
        found: Json = {"idG": common.location_id(view)}
        name = texts(doc.name, self._text_language)
        if name is not None:
            found["name"] = name
        assert doc.coordinates is not None
        point = {"pointByCoordinates": {"pointCoordinates": {
            "latitude": common.degrees(doc.coordinates.latitude), "longitude": common.degrees(doc.coordinates.longitude),
        }}}  # fmt: skip
        found["versionG"] = found["lastUpdated"] = version
        extension = {"FacilityLocation": {"address": self._address(view)}}
        found["locationReference"] = {"locPointLocation": {"locLocationReferenceExtensionG": extension, **point}}
        found["entrance"] = [{"locPointLocation": point}]
        found["operator"] = {"facOrganisationSpecification": self._operator(view, version)}
        found["energyInfrastructureStation"] = [self._station(identity, evse, view) for identity, evse in common.ordered(view)]
        return found if found["energyInfrastructureStation"] else None

    def _address(self, view: LocationView) -> Json:
        doc = view.doc
        found: Json = {}
        postcode = common.clean(doc.postal_code)
        if postcode:
            found["postcode"] = postcode
        city = texts(doc.city, self._text_language)
        if city is not None:
            found["city"] = city
        country = common.country_code(doc.country)
        if country:
            found["countryCode"] = country
        street = texts(doc.address, self._text_language)
        if street is not None:
            found["addressLine"] = [{"order": 1, "type": literal("street"), "text": street}]
        return found

    def _operator(self, view: LocationView, version: str) -> Json:
        """Name, legal name and unit are the same in the real service; the operator register may know the legal name and a phone."""
        name = common.operator_name(view)
        shown = texts(name, self._language) or texts(view.operator_id, self._language)
        unit: Json = {"name": shown}
        contact = common.kept({"telephoneNumber": view.facts.get("helpdesk_phone"), "eMail": view.facts.get("helpdesk_email")})
        if contact:
            unit["contactInformation"] = [{"facContactInformation": contact}]
        legal = view.facts.get("legal_name")
        return {
            "idG": common.organisation_id(view.operator_id, name), "versionG": version, "name": shown,
            "legalName": texts(legal, self._language) if legal else shown, "organisationUnit": [unit],
        }  # fmt: skip

    def _station(self, identity: str, evse: EvseView, view: LocationView) -> Json:
        version, doc = moment(view.dated(evse.modified_at)), evse.doc
        point: Json = {"idG": identity, "versionG": version, "externalIdentifier": identity, "lastUpdated": version}
        means = [_MEANS[capability] for capability in doc.capabilities if capability in _MEANS]
        means += [one for one in view.facts.get("payment_means", ()) if one in _MEANS_3_6]
        if means:
            listed = [literal(one) for one in dict.fromkeys(means)]
            point["rates"] = {"facGeneralRateInformation": {"paymentMethod": {"paymentMeans": listed}}}
        point["connector"] = [_connector(connector) for connector in doc.connectors]
        return {
            "idG": identity, "versionG": version, "lastUpdated": version,
            "authenticationAndIdentificationMethods": _RFID if "RFID_READER" in doc.capabilities else [],
            "refillPoint": [{"egiElectricChargingPoint": point}],
        }  # fmt: skip

    def status(self, view: LocationView) -> Json | None:
        """EnergyInfrastructureSiteStatus of a location; None when it is not public."""
        if not view.public:
            return None
        version = moment(view.dated(view.modified_at))
        stations = [_status(identity, evse, view) for identity, evse in common.ordered(view)]
        if not stations:
            return None
        reference = {"targetClass": "FacilityObject", "idG": common.location_id(view), "versionG": version}
        return {"reference": reference, "lastUpdated": version, "energyInfrastructureStationStatus": stations}


def _status(identity: str, evse: EvseView, view: LocationView) -> Json:
    row, described = evse.row, view.dated(evse.modified_at)
    version = moment(described)
    changed = version if row.status_at is described else moment(row.status_at)
    reference = {"targetClass": "FacilityObject", "idG": identity, "versionG": version}
    status = {"reference": reference, "lastUpdated": changed, "status": _STATUS.get(row.status) or _STATUS["UNKNOWN"]}
    return {"reference": reference, "refillPointStatus": [{"egiElectricChargingPointStatus": status}]}


def _connector(connector: Connector) -> Json:
    plug = _PLUGS.get(connector.standard or "")
    found: Json = {"connectorType": literal(plug or "other")}
    if plug is None and connector.standard:
        found["otherConnector"] = common.clean(connector.standard)
    found["chargingMode"] = literal(common.charging_mode(connector))
    shape = common.connector_format(connector)
    if shape is not None:
        found["connectorFormat"] = _FORMATS[shape]
    found["maxPowerAtSocket"] = common.power(connector)
    if connector.max_voltage is not None:
        found["voltage"] = round(connector.max_voltage)
    if connector.max_amperage is not None:
        found["maximumCurrent"] = round(connector.max_amperage)
    return found


def as_published(site: Json) -> Json:
    """The site as the real service's JSON has it: the address beside the point instead of inside it (contract section 5)."""
    point: dict[str, Any] = dict(site["locationReference"]["locPointLocation"])
    extension = point.pop("locLocationReferenceExtensionG")
    return {**site, "locationReference": {"locxFacilityLocation": extension["FacilityLocation"], "locPointLocation": point}}
