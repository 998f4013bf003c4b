"""Derive the table of a DATEX II version from its XSD files: order, names, types and limits of what we publish.

    python -m ocpi_nap.feed.datex2.derive FOLDER src/ocpi_nap/feed/datex2/table_3_6.json egi

The table has the classes of WRITTEN that the two publications of the package (egi, or aegi of the AFIR profile) lead to. The
schema files come from https://docs.datex2.eu and are not part of this project.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

XS = "{http://www.w3.org/2001/XMLSchema}"
SUFFIXED = {"id", "version", "modelBaseVersion", "extensionName", "extensionVersion", "profileName", "profileVersion"}
"""Attributes that get a G in JSON."""
WRITTEN = frozenset(
    """
egi:EnergyInfrastructureTable egi:EnergyInfrastructureSite egi:EnergyInfrastructureStation egi:ElectricChargingPoint egi:Connector
egi:EnergyInfrastructureSiteStatus egi:EnergyInfrastructureStationStatus egi:ElectricChargingPointStatus
egi:_EnergyInfrastructureTableVersionedReference
fac:_FacilityObjectVersionedReference fac:OrganisationSpecification fac:OrganisationUnit fac:ContactInformation
fac:GeneralRateInformation fac:PaymentMethod

aegi:EnergyInfrastructureTable aegi:EnergyInfrastructureSite aegi:EnergyInfrastructureStation aegi:ElectricChargingPoint aegi:Connector
aegi:EnergyInfrastructureSiteStatus aegi:EnergyInfrastructureStationStatus aegi:ElectricChargingPointStatus
aegi:PlannedRefillPointStatus aegi:_EnergyInfrastructureTableVersionedReference aegi:DedicatedParkingSpaces aegi:ServiceType
aegi:EnergyProduct aegi:ElectricEnergy aegi:ElectricEnergySourceRatio aegi:EnergyRate aegi:EnergyRateUpdate aegi:_EnergyRateReference
aegi:EnergyPrice aegi:EnergyBasedApplicability aegi:TimeBasedApplicability
afac:_FacilityObjectVersionedReference afac:AnOrganisation afac:OrganisationUnit afac:ContactInformation afac:ExternalIdentifier
afac:GeneralRateInformation afac:OpenAllHours afac:OperatingHoursSpecification
afac:AfirFacilityLocation afac:NutsArea afac:Amenities afac:Payment
afac:AssociatedFacility afac:SupplementalEquipment afac:SupplementalServiceFacility afac:Dimension

com:OverallPeriod com:Period com:TimePeriodOfDay com:DayWeekMonth com:PercentageValue com:UrlLink
com:VehicleCharacteristics com:GrossWeightCharacteristic com:HeightCharacteristic com:LengthCharacteristic com:WidthCharacteristic
com:_VehicleCharacteristicsExtensionType comx:VehicleCharacteristicsExtended comx:RegulatedCharacteristics
loc:PointLocation loc:_LocationReferenceExtensionType loc:_LocationExtensionType loc:PointByCoordinates loc:PointCoordinates
loc:SupplementaryPositionalDescription locx:FacilityLocation locx:Address locx:AddressLine
""".split()  # noqa: SIM905
)
"""The classes that we write; members of other classes stay out of the table."""
BASES = {
    "string": "string", "anyURI": "string", "language": "language", "base64Binary": "string", "decimal": "number", "float": "number",
    "double": "number", "integer": "integer", "nonNegativeInteger": "integer", "boolean": "boolean", "dateTime": "dateTime",
    "date": "date", "time": "time", "duration": "duration",
}  # fmt: skip


class Schemas:
    """All XSD files of a folder, types by prefixed name."""

    def __init__(self, folder: Path) -> None:
        self.namespaces: dict[str, str] = {}
        self.types: dict[str, ElementTree.Element] = {}
        self.version = ""
        for path in sorted(folder.glob("*.xsd")):
            root = ElementTree.parse(path).getroot()
            target = root.attrib["targetNamespace"]
            match = re.search(rf'xmlns:(\w+)="{re.escape(target)}"', path.read_text("utf-8"))
            assert match, path
            self.version = root.attrib.get("version", self.version)
            self.namespaces[match[1]] = target
            named = [node for node in root if node.tag in (XS + "complexType", XS + "simpleType")]
            self.types |= {f"{match[1]}:{node.attrib['name']}": node for node in named}
        self.children: dict[str, list[str]] = {}
        for name, node in self.types.items():
            base = self.base(node)
            if base is not None:
                self.children.setdefault(base, []).append(name)

    @staticmethod
    def base(node: ElementTree.Element) -> str | None:
        """The class that a class extends."""
        extension = node.find(f"{XS}complexContent/{XS}extension")
        return None if extension is None else extension.attrib["base"]

    def concrete(self, name: str) -> list[str]:
        """A class and all below it that can be written."""
        found = [] if self.types[name].get("abstract") == "true" else [name]
        for child in self.children.get(name, []):
            found += self.concrete(child)
        return found

    def simple(self, name: str) -> dict[str, Any]:
        """A simple type as {"base", limits}."""
        if name.startswith("xs:"):
            kind = name[3:]
            return {"base": BASES[kind]} | ({"min": 0} if kind == "nonNegativeInteger" else {})
        restriction = self.types[name].find(f"{XS}restriction")
        assert restriction is not None, name
        found = self.simple(restriction.attrib["base"])
        values = [node.attrib["value"] for node in restriction.findall(f"{XS}enumeration")]
        if values:
            found = {"base": "enum", "values": [value for value in values if value != "_extended"]}
        facets: dict[str, tuple[str, Any]] = {
            "maxLength": ("longest", int), "pattern": ("pattern", str), "fractionDigits": ("decimals", int), "totalDigits": ("digits", int),
            "minInclusive": ("min", float), "maxInclusive": ("max", float),
        }  # fmt: skip
        for facet, (key, convert) in facets.items():
            node = restriction.find(XS + facet)
            if node is not None:
                found[key] = convert(node.attrib["value"])
        return found


class Table:
    """Collects what is reachable."""

    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas
        self.classes: dict[str, Any] = {}
        self.simple: dict[str, Any] = {}
        self.choices: dict[str, list[str]] = {}

    def wanted(self, name: str) -> bool:
        """A simple type, or a class that we write."""
        node = self.schemas.types.get(name)
        if node is None or node.tag == XS + "simpleType" or name == "com:MultilingualString" or node.find(f"{XS}simpleContent") is not None:
            return True
        return bool(WRITTEN & {name, *self.schemas.concrete(name)})

    def visit(self, name: str) -> None:
        """Take a type in, with all it refers to."""
        if name in self.classes or name in self.simple or name in self.choices:
            return
        if name.startswith("xs:") or self.schemas.types[name].tag == XS + "simpleType":
            self.simple[name] = self.schemas.simple(name)
            return
        if name == "com:MultilingualString":
            self.simple[name] = {"base": "multilingual", "longest": self.schemas.simple("com:MultilingualStringValueType")["longest"]}
            return
        node = self.schemas.types[name]
        content = node.find(f"{XS}simpleContent/{XS}extension")
        if content is not None:
            self.simple[name] = self.schemas.simple(content.attrib["base"]) | {"base": "wrapped"} | self._extended(content)
            return
        if self.schemas.children.get(name):
            self.choices[name] = [choice for choice in self.schemas.concrete(name) if choice in WRITTEN]
            for choice in self.choices[name]:
                self.take(choice)
        else:
            self.take(name)

    def _extended(self, content: ElementTree.Element) -> dict[str, Any]:
        """The literals beyond the list that an enumeration allows, where the schema names them."""
        for attribute in content.findall(f"{XS}attribute"):
            if attribute.attrib["name"] == "_extendedValue" and attribute.attrib["type"] != "xs:string":
                return {"extended": self.schemas.simple(attribute.attrib["type"]).get("values", [])}
        return {}

    def take(self, name: str) -> None:
        """Take one concrete class in, its inherited members before its own."""
        if name in self.classes:
            return
        attributes: list[Any] = []
        elements: list[Any] = []
        self.classes[name] = {"attributes": attributes, "elements": elements}
        self._own(name, attributes, elements)
        for _, _, type_name, *_ in (*attributes, *elements):
            self.visit(type_name)

    def _own(self, name: str, attributes: list[Any], elements: list[Any]) -> None:
        node = self.schemas.types[name]
        base = self.schemas.base(node)
        body: ElementTree.Element | None = node
        if base is not None:
            self._own(base, attributes, elements)
            body = node.find(f"{XS}complexContent/{XS}extension")
        assert body is not None
        prefix = name.split(":")[0]
        for attribute in body.findall(f"{XS}attribute"):
            label = attribute.attrib["name"]
            key = label + "G" if label in SUFFIXED else label
            attributes.append([key, label, attribute.attrib["type"], int(attribute.get("use") == "required"), attribute.get("fixed", "")])
        for element in body.findall(f"{XS}sequence/{XS}element"):
            label, type_name = element.attrib["name"], element.attrib.get("type", "")
            key = label
            if label.startswith("_"):
                if type_name == "com:_ExtensionType":
                    continue
                key = prefix + label[1].upper() + label[2:] + "G"
            elif re.fullmatch(r"\w+:_\w+ExtensionType", name):
                key = type_name.split(":")[1]
            if self.wanted(type_name):
                least, most = int(element.get("minOccurs", "1")), element.get("maxOccurs", "1")
                elements.append([key, f"{prefix}:{label}", type_name, least, int(most != "1")])


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("table", type=Path)
    options.add_argument("package", choices=("egi", "aegi"))
    given = options.parse_args()
    schemas = Schemas(given.folder)
    table = Table(schemas)
    for name in ("EnergyInfrastructureTable", "EnergyInfrastructureSiteStatus", "_EnergyInfrastructureTableVersionedReference"):
        table.visit(f"{given.package}:{name}")
    text = json.dumps([table.simple, table.choices, table.classes])
    used = set(re.findall(r'"(\w+):', text)) & set(schemas.namespaces)
    sections = {
        "namespaces": {prefix: schemas.namespaces[prefix] for prefix in sorted(used)},
        "simple": dict(sorted(table.simple.items())), "choices": dict(sorted(table.choices.items())),
        "classes": dict(sorted(table.classes.items())),
    }  # fmt: skip
    lines = [f'{{"version": "{schemas.version}"']
    for section, entries in sections.items():
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}" for name, entry in entries.items())
        lines.append(f'"{section}": {{\n{rows}\n}}')
    given.table.write_text(",\n".join(lines) + "}\n", "utf-8")


if __name__ == "__main__":
    main()
