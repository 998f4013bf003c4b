"""Rows of the feed made of OCPI objects without a database, publications of them, and the official schemas to judge them by."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from lxml import etree
from referencing import Registry, Resource

from ocpi_nap.feed.datex2.common import DatexOptions
from ocpi_nap.feed.datex2.publications import datex_forms
from ocpi_nap.feed.forms import Envelope, Form
from ocpi_nap.feed.views import LocationView, TariffView, location_view, tariff_view
from ocpi_nap.model import jsontext, objects
from ocpi_nap.model.platform import PlatformSettings
from ocpi_nap.ocpi.versions import VERSIONS, lift_evse, lift_location, lift_tariff
from ocpi_nap.store.feed import FeedEvse, FeedLocation, FeedTariff

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 25, 10, 5, tzinfo=UTC)
NAMES = ("datex2-3.6", "statuses-datex2-3.6", "datex2-3.7", "statuses-datex2-3.7", "tariffs-datex2-3.7")


def forms(rejected: list[tuple[Any, str, str]] | None = None, **options: Any) -> dict[str, Form[Any]]:
    """All forms by name; what is kept out is an error unless a list for it is given."""

    def reject(view: Any, publication: str, message: str) -> None:
        if rejected is None:
            raise AssertionError(f"{publication} keeps out {view.row.id}: {message}")
        rejected.append((view, publication, message))

    return {form.name: form for form in datex_forms(DatexOptions(**options), reject)}


def location(
    raw: dict[str, Any], version: str = "2.3.0", tariffs: dict[str, TariffView] | None = None, facts: dict[str, Any] | None = None,
    party: tuple[str, str] = ("FI", "ABC"), pk: int = 1, at: datetime = NOW,
) -> LocationView:  # fmt: skip
    """A stored location as the feed reads it."""
    raw = jsontext.parse(json.dumps(raw).encode())
    node = lift_location(raw, VERSIONS[version], PlatformSettings()).node
    evses = []
    listed = raw.get("evses")
    for item in [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []:
        evse = lift_evse(item, VERSIONS[version], PlatformSettings()).node
        status, changed = evse.status or "UNKNOWN", evse.last_updated or at
        hidden = status in ("REMOVED", "PLANNED")
        evses.append(FeedEvse(evse.evse_id or evse.uid, objects.encode(evse), b"{}", at, changed, status, changed, not hidden, None))
    identity = (node.country_code or party[0], node.party_id or party[1], node.id)
    row = FeedLocation(
        pk, *identity, objects.encode(node), objects.encode({"operator": raw.get("operator")}), at, node.last_updated or at, None,
        bool(node.publish), "ABC Charging", "https://abc.example", None, platform_id=1, evses=evses,
    )  # fmt: skip
    return location_view(row, tariffs, facts)


def tariff(raw: dict[str, Any], version: str = "2.3.0", party: tuple[str, str] = ("FI", "ABC"), pk: int = 1) -> TariffView:
    """A stored tariff as the feed reads it."""
    node = lift_tariff(jsontext.parse(json.dumps(raw).encode()), VERSIONS[version], PlatformSettings()).node
    identity = (node.country_code or party[0], node.party_id or party[1], node.id)
    updated = node.last_updated or NOW
    return tariff_view(FeedTariff(pk, *identity, objects.encode(node), updated, updated, True))


def publication(form: Form[Any], views: Iterable[Any], at: datetime = LATER) -> bytes:
    """A whole publication; operators in feed order."""
    groups: dict[str, list[bytes]] = {}
    for view in sorted(views, key=lambda view: (view.row.country_code, view.row.party_id, view.row.id, view.row.pk)):
        fragment = form.fragment(view)
        if fragment is not None:
            groups.setdefault(view.operator_id, []).append(fragment)
    envelope = Envelope(modified_at=at, published_at=at, groups=tuple(groups))
    return b"".join(form.join(envelope, groups.items()))


class Schemas:
    """The official schemas beside the project."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check_xml(self, content: bytes, version: str) -> None:
        """Against the XSD of the version."""
        schema = self._xsd(version)
        document = etree.fromstring(content, etree.XMLParser(huge_tree=True))
        if not schema.validate(document):
            raise AssertionError(f"not valid XML of {version}: {schema.error_log.last_error}")

    @cache  # noqa: B019
    def _xsd(self, version: str) -> etree.XMLSchema:
        return etree.XMLSchema(etree.parse(self._folder / f"xsd-{version}" / "DATEXII_3_D2Payload.xsd"))

    @cache  # noqa: B019
    def _json(self) -> Draft202012Validator:
        folder = self._folder / "json-3.7"
        loaded = {path.name: json.loads(path.read_bytes()) for path in folder.glob("*.json")}
        registry = Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in loaded.items())
        return Draft202012Validator(loaded["DATEXII_3_D2Payload.json"], registry=registry)

    def check_json(self, document: Any) -> None:
        """Against the official JSON Schema."""
        error = next(self._json().iter_errors(document), None)
        if error is not None:
            raise AssertionError(f"not valid JSON at {list(error.absolute_path)}: {error.message[:300]}")


def official(document: dict[str, Any]) -> dict[str, Any]:
    """A 3.6 publication in the real service's JSON with what is known to be unofficial put right: the root, and the address."""
    (payload,) = document["payload"]
    for table in payload.get("egiEnergyInfrastructureTablePublication", {}).get("energyInfrastructureTable", []):
        for site in table["energyInfrastructureSite"]:
            reference = site["locationReference"]
            address = reference.pop("locxFacilityLocation")
            reference["locPointLocation"]["locLocationReferenceExtensionG"] = {"FacilityLocation": address}
    return {"payload": payload}
