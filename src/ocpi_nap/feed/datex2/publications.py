"""The DATEX II publications as forms: heads, tails, and fragments that were checked before they are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

import msgspec

from ocpi_nap.feed.datex2.aegi import Aegi
from ocpi_nap.feed.datex2.common import DatexOptions, Json, moment, texts
from ocpi_nap.feed.datex2.egi import Egi, as_published
from ocpi_nap.feed.datex2.guard import Guard, NotPublishable
from ocpi_nap.feed.datex2.places import european_clocks
from ocpi_nap.feed.datex2.table import load
from ocpi_nap.feed.datex2.xml import XmlWriter, text
from ocpi_nap.feed.forms import Envelope, Form
from ocpi_nap.feed.views import LocationView, TariffView, once

V = TypeVar("V", LocationView, TariffView)
Reject = Callable[[LocationView | TariffView, str, str], None]
"""Told of an object that is kept out: the row, the publication, and why."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


class _Content(Generic[V]):
    """What one publication has of a row: mapped, checked and encoded once for both encodings."""

    def __init__(self, name: str, version: str, class_name: str, tag: str, mapping: Callable[[V], Json | None], reject: Reject) -> None:
        self._name = name
        self._mapping: Callable[[V], Json | None] = mapping
        self._check = Guard(load(version)).check(class_name)
        self._write = XmlWriter(load(version)).writer(tag, class_name)
        self._reject = reject

    def _draw(self, view: V) -> tuple[Json, bytes] | None:
        try:
            value = self._mapping(view)
            return None if value is None else (value, self._check(value))
        except (NotPublishable, ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
            self._reject(view, self._name, str(error) or type(error).__name__)
            return None

    def json(self, view: V) -> bytes | None:
        """In official shape."""
        drawn = once(view, self._draw)
        return None if drawn is None else drawn[1]

    def as_published(self, view: V) -> bytes | None:
        """A 3.6 site in the real service's shape."""
        drawn = once(view, self._draw)
        return None if drawn is None else _encode(as_published(drawn[0]))

    def xml(self, view: V) -> bytes | None:
        """The same content as XML."""
        drawn = once(view, self._draw)
        return None if drawn is None else self._write(drawn[0]).encode()


def _raw(value: Any) -> str:
    return _encode(value).decode()


class _Frame:
    """Heads and tails of the publications of one version."""

    def __init__(self, version: str, package: Literal["egi", "aegi"], options: DatexOptions) -> None:
        self.version, self.package, self._options = version, package, options
        self._information_status = "test" if options.sandbox else "real"
        self._declarations = XmlWriter(load(version)).declarations()

    def json_head(self, publication: str, listed: str, envelope: Envelope) -> str:
        """Up to the list of tables or statuses; a list of payloads in 3.6 as the real service has it, official in 3.7."""
        creator = {"country": self._options.country, "nationalIdentifier": self._options.national_identifier}
        members: Json = {"lang": self._options.language, "publicationTime": moment(envelope.published_at), "publicationCreator": creator}
        if self.package == "aegi":
            members["headerInformation"] = {
                "confidentiality": {"value": "noRestriction"}, "informationStatus": {"value": self._information_status},
            }  # fmt: skip
            if publication.endswith("StatusPublication") and envelope.groups:
                members["tableReference"] = [{"targetClass": "EnergyInfrastructureTable", "idG": group} for group in envelope.groups]
        wrapped = f'"{self.package}{publication}":{_raw(members)[:-1]},"{listed}":['
        if self.package == "egi":
            return f'{{"payload":[{{"modelBaseVersionG":"3","versionG":"{self.version}",{wrapped}'
        return f'{{"payload":{{"versionG":"{self.version}","modelBaseVersionG":"3",{wrapped}'

    def json_tail(self, envelope: Envelope) -> str:
        """Closes what the head opened."""
        if self.package == "aegi":
            return "]}}}"
        exchange = {
            "messageType": {"value": "payloadDelivery"},
            "exchangeContext": {
                "codedExchangeProtocol": {"value": "snapshotPull"}, "exchangeSpecificationVersion": "1", "supplierOrCisRequester": {},
            },
            "dynamicInformation": {
                "exchangeStatus": {"value": "online"}, "completedPaylod": True, "messageSequencingNumber": 0,
                "messageGenerationTimestamp": moment(envelope.generated_at or envelope.published_at),
            },
        }  # fmt: skip
        return f']}}}}],"exchangeInformation":{_raw(exchange)}}}'

    def xml_head(self, publication: str, envelope: Envelope) -> str:
        """Up to the first table or status."""
        package, options = self.package, self._options
        head = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<d2:payload {self._declarations} xsi:type="{package}:{publication}"'
            f' lang="{text(options.language)}" modelBaseVersion="3">'
            f"<com:publicationTime>{moment(envelope.published_at)}</com:publicationTime>"
            f"<com:publicationCreator><com:country>{text(options.country)}</com:country>"
            f"<com:nationalIdentifier>{text(options.national_identifier)}</com:nationalIdentifier></com:publicationCreator>"
        )
        if package == "aegi":
            if publication.endswith("StatusPublication"):
                for group in envelope.groups:
                    head += f'<aegi:tableReference targetClass="aegi:EnergyInfrastructureTable" id="{text(group)}"/>'
            head += (
                "<aegi:headerInformation><com:confidentiality>noRestriction</com:confidentiality>"
                f"<com:informationStatus>{self._information_status}</com:informationStatus></aegi:headerInformation>"
            )
        return head

    def table_json(self, operator: str, envelope: Envelope) -> bytes:
        """Opens an operator's table."""
        opened = _raw({"idG": operator, "versionG": moment(envelope.published_at)})
        return f'{opened[:-1]},"energyInfrastructureSite":['.encode()

    def table_xml(self, operator: str, envelope: Envelope) -> bytes:
        """Opens an operator's table."""
        version = moment(envelope.published_at)
        return f'<{self.package}:energyInfrastructureTable id="{text(operator)}" version="{version}">'.encode()

    def pair(
        self, name: str, path: str, rows: Literal["location", "tariff"], publication: str, listed: str, **given: Any
    ) -> list[Form[Any]]:
        """The JSON and the XML form of a publication; ``given`` has json_… and xml_… members of Form. The AFIR package has prices."""
        encodings = {part: {k[len(part) + 1 :]: v for k, v in given.items() if k.startswith(part)} for part in ("json", "xml")}
        for encoding in encodings.values():
            encoding["made_with"] = f"{_raw(self._options)} {european_clocks()}"
            encoding["prices"] = self.package == "aegi" and rows == "location"
            encoding["facts"] = rows == "location"
        return [
            Form(
                name=f"{name}.json", path=path, media_type="application/json", rows=rows, **encodings["json"],
                head=lambda envelope: self.json_head(publication, listed, envelope).encode(),
                tail=lambda envelope: self.json_tail(envelope).encode(),
            ),
            Form(
                name=f"{name}.xml", path=path, media_type="application/xml", encoding="xml", rows=rows, separator=b"", **encodings["xml"],
                head=lambda envelope: self.xml_head(publication, envelope).encode(), tail=lambda envelope: b"</d2:payload>",
            ),
        ]  # fmt: skip

    def tables(self, name: str, path: str, json: Callable[[Any], bytes | None], xml: Callable[[Any], bytes | None]) -> list[Form[Any]]:
        """A table publication: one table an operator, and by the schema one at least. The AFIR package has versions of descriptions."""
        statuses = self.package == "egi"
        return self.pair(
            name, path, "location", "EnergyInfrastructureTablePublication", "energyInfrastructureTable",
            json_rows_per_block=8, json_fragment=json, json_group_head=self.table_json, json_group_tail=b"]}", json_never_empty=True,
            json_statuses=statuses, xml_statuses=statuses,
            xml_rows_per_block=6, xml_fragment=xml, xml_group_head=self.table_xml,
            xml_group_tail=f"</{self.package}:energyInfrastructureTable>".encode(),
            xml_never_empty=True,
        )  # fmt: skip

    def statuses(self, name: str, path: str, content: _Content[LocationView]) -> list[Form[Any]]:
        """A status publication: one list of site statuses."""
        return self.pair(
            name, path, "location", "EnergyInfrastructureStatusPublication", "energyInfrastructureSiteStatus",
            json_rows_per_block=16, json_fragment=content.json, xml_rows_per_block=12, xml_fragment=content.xml,
        )  # fmt: skip

    def rates(self, name: str, path: str, content: _Content[TariffView]) -> list[Form[Any]]:
        """The tariffs: the schema has energy rates inside a station only, so each operator has one site with one station for them. Where
        nobody has tariffs we have, none."""
        own = f"{self._options.country}*{self._options.national_identifier}"
        json_tail, xml_tail = b"]}]}]}", b"".join(
            f"</aegi:energyInfrastructure{part}>".encode() for part in ("Station", "Site", "Table")
        )  # fmt: skip

        def members(operator: str, envelope: Envelope) -> list[Json]:
            version = moment(envelope.published_at)
            name = texts(f"Tariffs of {operator}", self._options.language)
            return [{"idG": f"{operator}*TARIFFS", "versionG": version, "name": name}, {"idG": f"{operator}*RATES", "versionG": version}]

        def json_head(operator: str, envelope: Envelope) -> bytes:
            site, station = (_raw(part)[:-1] for part in members(operator, envelope))
            opened = f'{site},"energyInfrastructureStation":[{station},"refillPoint":[],"energyProduct":['
            return self.table_json(operator, envelope) + opened.encode()

        def xml_head(operator: str, envelope: Envelope) -> bytes:
            site, station = members(operator, envelope)
            opened = "".join((
                f'<aegi:energyInfrastructureSite id="{text(site["idG"])}" version="{site["versionG"]}"><afac:name><com:values>',
                f'<com:value lang="{text(self._options.language)}">{text(site["name"]["values"][0]["value"])}</com:value>',
                f'</com:values></afac:name><aegi:energyInfrastructureStation id="{text(station["idG"])}" version="{station["versionG"]}">',
            ))  # fmt: skip
            return self.table_xml(operator, envelope) + opened.encode()

        return self.pair(
            name, path, "tariff", "EnergyInfrastructureTablePublication", "energyInfrastructureTable",
            json_rows_per_block=32, json_fragment=content.json, json_group_head=json_head, json_group_tail=json_tail,
            json_empty=lambda envelope: json_head(own, envelope) + json_tail,
            xml_rows_per_block=24, xml_fragment=content.xml, xml_group_head=xml_head, xml_group_tail=xml_tail,
            xml_empty=lambda envelope: xml_head(own, envelope) + xml_tail,
        )  # fmt: skip


def datex_forms(options: DatexOptions, reject: Reject) -> list[Form[Any]]:
    """All DATEX II forms: five publications, each as JSON and as XML."""
    egi, aegi = Egi(options), Aegi(options)
    table, status, tariffs = "EnergyInfrastructureSite", "EnergyInfrastructureSiteStatus", "EnergyProduct"
    sites = _Content[LocationView]("datex2-3.6", "3.6", f"egi:{table}", "egi:energyInfrastructureSite", egi.site, reject)
    states = _Content[LocationView]("statuses-datex2-3.6", "3.6", f"egi:{status}", "egi:energyInfrastructureSiteStatus", egi.status, reject)
    pools = _Content[LocationView]("datex2-3.7", "3.7", f"aegi:{table}", "aegi:energyInfrastructureSite", aegi.site, reject)
    pool_states = _Content[LocationView](
        "statuses-datex2-3.7", "3.7", f"aegi:{status}", "aegi:energyInfrastructureSiteStatus", aegi.status, reject
    )
    rates = _Content[TariffView]("tariffs-datex2-3.7", "3.7", f"aegi:{tariffs}", "aegi:energyProduct", aegi.product, reject)
    old, new = _Frame("3.6", "egi", options), _Frame("3.7", "aegi", options)
    return [
        *old.tables("datex2-3.6", "/locations/datex2-3.6", sites.as_published, sites.xml),
        *old.statuses("statuses-datex2-3.6", "/locations/statuses/datex2-3.6", states),
        *new.tables("datex2-3.7", "/locations/datex2-3.7", pools.json, pools.xml),
        *new.statuses("statuses-datex2-3.7", "/locations/statuses/datex2-3.7", pool_states),
        *new.rates("tariffs-datex2-3.7", "/tariffs/datex2-3.7", rates),
    ]
