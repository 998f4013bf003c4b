"""The publications in the JSON of the contract (sections 1 to 4): names, order, nulls and types."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from ocpi_nap.feed.forms import Envelope, Form
from ocpi_nap.feed.views import EvseView, LocationView, TariffView, registered_details
from ocpi_nap.model import objects
from ocpi_nap.model.objects import Connector, DisplayText, EnergyMix, GeoLocation, Hours, Price
from ocpi_nap.model.timestamps import format_ms
from ocpi_nap.store.feed import FeedEvse

encode = msgspec.json.Encoder(decimal_format="number").encode


class _RawEvse(msgspec.Struct):
    floor_level: Any = None
    physical_reference: Any = None


_raw_evse = msgspec.json.Decoder(_RawEvse, float_hook=Decimal).decode


def jsonb_order(value: Any) -> Any:
    """Members without nulls in the order in which PostgreSQL keeps jsonb: shorter names first, then by alphabet."""
    if isinstance(value, dict):
        kept = {k: jsonb_order(v) for k, v in value.items() if v is not None}
        return dict(sorted(kept.items(), key=lambda item: (len(item[0].encode()), item[0].encode())))
    return [jsonb_order(item) for item in value] if isinstance(value, list) else value


def operator(country_code: str, party_id: str, name: str | None, url: str | None, details: dict[str, Any] | None) -> dict[str, Any]:
    """One row of /operators (contract section 1)."""
    return {"id": f"{country_code}*{party_id}", "partyId": party_id, "countryCode": country_code,
            "details": jsonb_order(registered_details(name, url, details))}  # fmt: skip


def _texts(texts: list[DisplayText]) -> list[dict[str, Any]] | None:
    return [{"language": t.language, "text": t.text} for t in texts] or None


def _point(geo: GeoLocation | None) -> dict[str, Any] | None:
    return None if geo is None else {"type": "Point", "coordinates": [geo.longitude, geo.latitude]}


def _whole(value: Any) -> int | None:
    """Volts, amperes and watts are JSON integers (contract section 2)."""
    return None if value is None else round(value)


def _hours(hours: Hours) -> dict[str, Any]:
    shown: dict[str, Any] = {"twentyFourSeven": bool(hours.twentyfourseven)}
    shown["regularHours"] = [
        {"weekday": h.weekday, "periodBegin": h.period_begin, "periodEnd": "00:00" if h.period_end == "24:00" else h.period_end}
        for h in hours.regular_hours
    ]  # midnight as OCPI writes it: not every reader of times takes 24:00
    for name, periods in (("exceptionalOpenings", hours.exceptional_openings), ("exceptionalClosings", hours.exceptional_closings)):
        if periods:
            shown[name] = [
                {"periodBegin": p.period_begin and format_ms(p.period_begin), "periodEnd": p.period_end and format_ms(p.period_end)}
                for p in periods
            ]
    return shown


def _connector(connector: Connector, evse: FeedEvse) -> dict[str, Any]:
    return {
        "powerType": connector.power_type,
        "standard": connector.standard,
        "format": connector.format,
        "capabilities": connector.capabilities or None,
        "maxVoltage": _whole(connector.max_voltage),
        "maxAmperage": _whole(connector.max_amperage),
        "maxElectricPower": _whole(connector.max_electric_power),
        "tariffIds": connector.tariff_ids or None,
        "createdAt": format_ms(connector.created_at or evse.created_at),
        "modifiedAt": format_ms(connector.modified_at or evse.modified_at),
    }


def _evse(evse: EvseView) -> dict[str, Any]:
    row, doc, raw = evse.row, evse.doc, _raw_evse(evse.row.raw)
    return {
        "id": row.public_id,
        "capabilities": doc.capabilities or None,
        "acceptedServiceProviders": doc.accepted_service_providers or None,
        "floorLevel": "" if raw.floor_level == "" else doc.floor_level,
        "geometry": _point(doc.coordinates),
        "physicalReference": "" if raw.physical_reference == "" else doc.physical_reference,
        "directions": _texts(doc.directions),
        "createdAt": format_ms(row.created_at),
        "modifiedAt": format_ms(evse.modified_at),
        "connectors": [_connector(connector, row) for connector in doc.connectors],
    }


def location(view: LocationView) -> bytes | None:
    """The GeoJSON feature; location-level members are absent rather than null (contract section 2)."""
    if not view.public:
        return None
    row, doc = view.row, view.doc
    properties: dict[str, Any] = {"id": row.id, "name": doc.name, "parkingType": doc.parking_type,
                                  "chargingWhenClosed": doc.charging_when_closed}  # fmt: skip
    properties["openingTimes"] = _hours(doc.opening_times) if doc.opening_times else None
    properties["operator"] = {"id": view.operator_id, "partyId": row.party_id, "countryCode": row.country_code,
                              "details": jsonb_order(view.operator)}  # fmt: skip
    address = {"street": doc.address, "city": doc.city, "postalCode": doc.postal_code, "countryCode": doc.country}
    properties["address"] = {name: value for name, value in address.items() if value is not None}
    properties["createdAt"] = format_ms(row.created_at)
    properties["modifiedAt"] = format_ms(view.modified_at)
    properties["evses"] = [_evse(evse) for evse in view.evses]
    kept = {name: value for name, value in properties.items() if value is not None}
    return encode({"type": "Feature", "geometry": _point(doc.coordinates), "properties": kept})


def statuses(view: LocationView) -> bytes | None:
    """The status rows of a location's EVSEs, joined by commas (contract section 3)."""
    if not view.public:
        return None
    rows = [{"evseId": e.row.public_id, "modifiedAt": format_ms(e.row.status_at), "status": e.row.status} for e in view.evses]
    return b",".join(encode(row) for row in rows)


def _price(price: Price | None) -> dict[str, Any] | None:
    return None if price is None else {"beforeTaxes": price.before_taxes, "afterTaxes": price.after_taxes}


def camel(name: str) -> str:
    """``min_kwh`` to ``minKwh``."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _restrictions(value: objects.TariffRestrictions | None) -> dict[str, Any] | None:
    """None when nothing is restricted: an empty object counts as a restriction for some clients (contract section 4)."""
    if value is None:
        return None
    named = {camel(name): getattr(value, name) for name in value.__struct_fields__ if name != "extra"}
    named |= {name: _whole(named[name]) for name in ("minDuration", "maxDuration")}  # clients read integers
    return {name: item for name, item in named.items() if item not in (None, [])} or None


def _energy_mix(mix: EnergyMix) -> dict[str, Any]:
    shown = {
        "isGreenEnergy": mix.is_green_energy,
        "energySources": [{"source": one.source, "percentage": one.percentage} for one in mix.energy_sources],
        "environImpact": [{"category": one.category, "amount": one.amount} for one in mix.environ_impact],
        "supplierName": mix.supplier_name, "energyProductName": mix.energy_product_name,
    }  # fmt: skip
    return {name: value for name, value in shown.items() if value not in (None, [])}


def tariff(view: TariffView) -> bytes | None:
    """One tariff (contract section 4)."""
    row, doc = view.row, view.doc
    if not row.visible or view.left_out:
        return None
    shown: dict[str, Any] = {
        "id": row.id, "countryCode": row.country_code, "partyId": row.party_id, "currency": doc.currency, "type": doc.type,
        "taxIncluded": doc.tax_included, "tariffAltUrl": doc.tariff_alt_url, "tariffAltText": _texts(doc.tariff_alt_text),
        "minPrice": _price(doc.min_price), "maxPrice": _price(doc.max_price),
    }  # fmt: skip
    shown = {name: value for name, value in shown.items() if value is not None}
    shown["elements"] = [
        {
            "priceComponents": [
                {"type": c.type, "price": c.price, "vat": c.vat, "stepSize": _whole(c.step_size)}
                for c in element.price_components if c.type is not None and c.price is not None  # clients reckon with it
            ],
            "restrictions": _restrictions(element.restrictions),
        }
        for element in doc.elements
    ]  # fmt: skip
    for name, moment in (("startDateTime", doc.start_date_time), ("endDateTime", doc.end_date_time)):
        if moment is not None:
            shown[name] = format_ms(moment)
    if doc.energy_mix is not None:
        shown["energyMix"] = _energy_mix(doc.energy_mix)
    shown["lastUpdated"] = format_ms(row.last_updated)
    return encode(shown)


def _list_head(member: str, first: str = "") -> Callable[[Envelope], bytes]:
    def head(envelope: Envelope) -> bytes:
        pagination = encode(envelope.pagination).decode()
        return f'{{{first}"modifiedAt":"{format_ms(envelope.modified_at)}","pagination":{pagination},"{member}":['.encode()

    return head


def _list_tail(envelope: Envelope) -> bytes:
    return b"]}"


LOCATIONS = Form(name="locations-1", path="/locations", media_type="application/geo+json;charset=UTF-8", rows="location", paged=True,
                 rows_per_block=12, fragment=location, tail=_list_tail,
                 head=_list_head("features", '"type":"FeatureCollection",'))  # fmt: skip
STATUSES = Form(name="statuses-1", path="/locations/statuses", media_type="application/json", rows="location", paged=True,
                rows_per_block=64, fragment=statuses, head=_list_head("statuses"), tail=_list_tail)  # fmt: skip
TARIFFS = Form(name="tariffs-1", path="/tariffs", media_type="application/json", rows="tariff", paged=True,
               rows_per_block=64, fragment=tariff, head=_list_head("tariffs"), tail=_list_tail)  # fmt: skip
