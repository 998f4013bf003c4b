"""One object in every publication of the feed, set out for reading, and why it is kept out of one."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.dom import minidom

from ocpi_nap.feed.datex2.common import DatexOptions
from ocpi_nap.feed.datex2.table import load
from ocpi_nap.feed.datex2.xml import XmlWriter
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.publications import public_forms
from ocpi_nap.feed.views import LocationView, TariffView
from ocpi_nap.store import feed
from ocpi_nap.store.database import Database

log = logging.getLogger(__name__)
_TITLES = {
    "locations-1": "GeoJSON", "statuses-1": "Statuses", "tariffs-1": "JSON",
    "datex2-3.6": "DATEX II 3.6", "statuses-datex2-3.6": "DATEX II 3.6 status",
    "datex2-3.7": "DATEX II 3.7", "statuses-datex2-3.7": "DATEX II 3.7 status", "tariffs-datex2-3.7": "DATEX II 3.7",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """An object's part of one publication; without a fragment ``why`` says why there is none."""

    form: Form[Any]
    title: str
    fragment: bytes | None
    why: str | None = None

    @property
    def name(self) -> str:
        """The form's."""
        return self.form.name

    @property
    def text(self) -> str | None:
        """Set out for reading: made for the one that is looked at, which takes longer than to draw them all."""
        return None if self.fragment is None else _pretty(self.form, self.fragment)


class Reader:
    """Draws an object as the renderer does."""

    def __init__(self, options: DatexOptions) -> None:
        self._forms = public_forms(options, self._kept_out)
        self._reasons: dict[str, str] = {}

    def _kept_out(self, view: LocationView | TariffView, publication: str, message: str) -> None:
        self._reasons[publication] = message

    def parts(self, view: LocationView | TariffView) -> list[Part]:
        """Its part of every publication that has rows of its kind."""
        kind = "location" if isinstance(view, LocationView) else "tariff"
        self._reasons = {}
        return [self._part(form, view) for form in self._forms if form.rows == kind]

    def _part(self, form: Form[Any], view: LocationView | TariffView) -> Part:
        publication = form.name.removesuffix(f".{form.encoding}")
        title = _TITLES[publication] + (f" {form.encoding.upper()}" if "datex2" in publication else "")
        try:
            drawn = form.fragment(view)
        except Exception:
            log.exception("%s could not be rendered as %s", view.row.id, form.name)
            return Part(form, title, None, "It could not be rendered; the log says more.")
        why = None if drawn is not None else self._reasons.get(publication) or "It has nothing to show in it."
        return Part(form, title, drawn, why)


@lru_cache(1)
def reader(options: DatexOptions) -> Reader:
    """Made when the first object is looked at: the checks of DATEX II take a moment to be built."""
    return Reader(options)


def _pretty(form: Form[Any], fragment: bytes) -> str:
    if form.encoding == "json":
        rows = json.loads(b"[" + fragment + b"]")  # a location is several rows of the statuses
        return json.dumps(rows if form.name == "statuses-1" else rows[0], ensure_ascii=False, indent=2)
    version = "3.7" if "3.7" in form.name else "3.6"
    spaces = XmlWriter(load(version)).declarations()
    root = minidom.parseString(f"<x {spaces}>{fragment.decode()}</x>").documentElement
    assert root is not None
    return "".join(node.toprettyxml(indent="  ") for node in root.childNodes).strip()


async def reasons(db: Database, environments: Sequence[str], row: dict[str, Any], view: LocationView | TariffView | None) -> list[str]:
    """Why an object is in no publication at all; empty when it is in them."""
    if view is None:
        return ["What we hold of it cannot be read; the log says more."]
    found = []
    if row["withdrawn_at"] is not None:
        found.append(f"It is withdrawn: {row['withdrawn_reason']}.")
    if row.get("publish") is False:
        found.append("The CPO does not want it published: publish is false.")
    parties = [party for party in await feed.load_parties(db, list(environments)) if party[:2] == (row["country_code"], row["party_id"])]
    if not any(party[2] == row["platform_id"] and party[3] for party in parties):
        found.append(await _unpublished(db, environments, row, any(party[3] for party in parties)))
    if isinstance(view, LocationView):
        point = view.doc.coordinates
        if point is None or None in (point.latitude, point.longitude):
            found.append("It has no coordinates.")
        if not view.evses:
            found.append("None of its EVSEs is public: each is withdrawn, removed, planned or without connectors." if row["evses"]
                         else "It has no EVSEs.")  # fmt: skip
    return found


async def _unpublished(db: Database, environments: Sequence[str], row: dict[str, Any], elsewhere: bool) -> str:
    environment = await db.fetch_one("SELECT environment FROM platform WHERE id = %s", (row["platform_id"],))
    if environment is not None and environment[0] not in environments:
        return f"Its platform is one of the environment {environment[0]}, which is not published."
    if elsewhere:
        return "Another platform delivers the same operator, and is published in place of this one."
    return "The connection to its platform ended, and the time for which its data is kept public is over."
