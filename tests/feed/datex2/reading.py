"""Reads DATEX II XML back into the official JSON shape, by the XSD files alone: nothing here knows how the feed writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree

XS = "{http://www.w3.org/2001/XMLSchema}"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
NUMBERS = {"float", "double", "decimal", "integer", "nonNegativeInteger"}
SUFFIXED = {"id", "version"}


class Reader:
    """Types by Clark name, of one folder of XSD files."""

    def __init__(self, folder: Path) -> None:
        self.types: dict[str, Any] = {}
        self.prefixes: dict[str, str] = {}
        self.based: set[str] = set()
        for path in folder.glob("*.xsd"):
            root = etree.parse(path).getroot()
            target = root.get("targetNamespace")
            self.prefixes[target] = next(prefix for prefix, space in root.nsmap.items() if space == target)
            for node in root:
                if node.get("name") and node.tag != XS + "element":
                    self.types[f"{{{target}}}{node.get('name')}"] = node
        for node in self.types.values():
            for extension in node.iterfind(f"{XS}complexContent/{XS}extension"):
                self.based.add(self.clark(extension, extension.get("base")))

    @staticmethod
    def clark(node: Any, name: str) -> str:
        prefix, _, local = name.partition(":")
        return f"{{{node.nsmap[prefix]}}}{local}"

    @cache  # noqa: B019
    def members(self, type_name: str) -> dict[str, tuple[str, bool]]:
        """Element name to (type, whether there may be several), inherited ones too."""
        node = self.types[type_name]
        found: dict[str, tuple[str, bool]] = {}
        space = type_name[1:].partition("}")[0]
        extension = node.find(f"{XS}complexContent/{XS}extension")
        if extension is not None:
            found |= self.members(self.clark(extension, extension.get("base")))
        for element in node.iterfind(f".//{XS}element"):
            if element.get("type"):
                found[f"{{{space}}}{element.get('name')}"] = (
                    self.clark(element, element.get("type")), element.get("maxOccurs", "1") != "1",
                )  # fmt: skip
        return found

    @cache  # noqa: B019
    def reads(self, type_name: str) -> Callable[[str], Any]:
        """How the text of a simple type becomes a JSON value."""
        if type_name.startswith(XS):
            local = type_name[len(XS) :]
            return (lambda text: text == "true") if local == "boolean" else float if local in NUMBERS else str
        restriction = self.types[type_name].find(f"{XS}restriction")
        return self.reads(self.clark(restriction, restriction.get("base")))

    def value(self, element: Any, type_name: str) -> Any:
        if type_name.startswith(XS):
            return self.reads(type_name)(element.text or "")
        node = self.types[type_name]
        if node.tag == XS + "simpleType":
            return self.reads(type_name)(element.text or "")
        if type_name.endswith("}MultilingualString"):
            return {"values": [{"lang": one.get("lang"), "value": one.text or ""} for one in element[0]]}
        if node.find(f"{XS}simpleContent") is not None:
            if element.text == "_extended":
                return {"value": "extendedG", "extendedValueG": element.get("_extendedValue")}
            return {"value": element.text}
        if type_name not in self.based:
            return self.object(element, type_name)
        actual = self.clark(element, element.get(XSI_TYPE)) if element.get(XSI_TYPE) else type_name
        space, _, local = actual[1:].partition("}")
        return {f"{self.prefixes[space]}{local}": self.object(element, actual)}

    def object(self, element: Any, type_name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, text in element.attrib.items():
            if name == XSI_TYPE:
                continue
            value: Any = text.partition(":")[2] if name == "targetClass" else int(text) if name == "order" else text
            found[name + "G" if name in SUFFIXED else name] = value
        members = self.members(type_name)
        for child in element:
            kind, several = members[child.tag]
            space, _, local = child.tag[1:].partition("}")
            key = local
            if local.startswith("_"):
                key = f"{self.prefixes[space]}{local[1].upper()}{local[2:]}G"
            elif type_name.endswith("ExtensionType"):
                key = kind.partition("}")[2]
            value = self.value(child, kind)
            if several:
                found.setdefault(key, []).append(value)
            else:
                found[key] = value
        return found

    def publication(self, content: bytes) -> dict[str, Any]:
        """The publication without what belongs to the payload's wrapper."""
        root = etree.fromstring(content, etree.XMLParser(huge_tree=True))
        found = self.object(root, self.clark(root, root.get(XSI_TYPE)))
        found.pop("modelBaseVersion")
        return found


def plain(value: Any) -> Any:
    """For comparing: without empty lists, integers as floats."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item != []}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
