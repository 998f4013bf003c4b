"""Samples of the DATEX II publications against the official schemas, in the background, where a folder with them is given.

The check of every fragment (`guard`) knows what our table knows; this one finds what the table or the check may have missed. It needs
the packages lxml and jsonschema, which the service itself does not.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prometheus_client import Counter

from ocpi_nap.feed.forms import Envelope, Form
from ocpi_nap.feed.fragments.keys import key_operator
from ocpi_nap.feed.fragments.store import FragmentStore
from ocpi_nap.feed.fragments.tables import Reading
from ocpi_nap.feed.pages import grouped
from ocpi_nap.waiting import happens

Found = Callable[[Form[Any], int, str], Awaitable[None]]
"""Told of an object that is not valid: the form, the row's number, and what the schema says."""

_CHECKED = Counter("ocpi_nap_datex2_samples_total", "Samples of DATEX II held against the official schemas", ["form", "result"])
_ROWS = 50
PAUSE = 600.0
"""Seconds between two rounds."""


class SchemasMissing(Exception):
    """The folder or a package is not there; the message says which."""


class OfficialSchemas:
    """``xsd-3.6``, ``xsd-3.7`` and ``json-3.7`` in one folder."""

    def __init__(self, folder: Path) -> None:
        for package in ("lxml", "jsonschema"):
            if find_spec(package) is None:
                raise SchemasMissing(f"the package {package} is needed to check against the schemas: pip install {package}")
        for name in ("xsd-3.6/DATEXII_3_D2Payload.xsd", "xsd-3.7/DATEXII_3_D2Payload.xsd", "json-3.7/DATEXII_3_D2Payload.json"):
            if not (folder / name).is_file():
                raise SchemasMissing(f"{folder / name} is not there")
        self._folder = folder
        self._xsd: dict[str, Any] = {}

    def error(self, content: bytes, form: Form[Any]) -> str | None:
        """What is wrong with a publication, None when it is valid."""
        version = form.path[-3:]
        return self._xml_error(content, version) if form.encoding == "xml" else self._json_error(json.loads(content), version)

    def _xml_error(self, content: bytes, version: str) -> str | None:
        from lxml import etree

        if version not in self._xsd:
            self._xsd[version] = etree.XMLSchema(etree.parse(self._folder / f"xsd-{version}" / "DATEXII_3_D2Payload.xsd"))
        schema = self._xsd[version]
        if schema.validate(etree.fromstring(content, etree.XMLParser(huge_tree=True, resolve_entities=False, no_network=True))):
            return None
        return str(schema.error_log.last_error.message)

    @cached_property
    def _json(self) -> Any:
        from jsonschema import Draft202012Validator
        from referencing import Registry, Resource

        loaded = {path.name: json.loads(path.read_bytes()) for path in (self._folder / "json-3.7").glob("*.json")}
        resources = [(name, Resource.from_contents(schema)) for name, schema in loaded.items()]
        return Draft202012Validator(loaded["DATEXII_3_D2Payload.json"], registry=Registry().with_resources(resources))

    def _json_error(self, document: Any, version: str) -> str | None:
        error = next(self._json.iter_errors(_official(document) if version == "3.6" else document), None)
        return None if error is None else f"{'/'.join(map(str, error.absolute_path))}: {error.message}"


def _official(document: Any) -> Any:
    """A 3.6 publication with the two things put right in which the real service's JSON is not official: the root and the address."""
    (payload,) = document["payload"]
    for table in payload.get("egiEnergyInfrastructureTablePublication", {}).get("energyInfrastructureTable", []):
        for site in table["energyInfrastructureSite"]:
            reference = site["locationReference"]
            extension = {"locLocationReferenceExtensionG": {"FacilityLocation": reference["locxFacilityLocation"]}}
            site["locationReference"] = {"locPointLocation": reference["locPointLocation"] | extension}
    return {"payload": payload}


class Sampler:
    """Checks some rows of each publication from time to time."""

    def __init__(self, store: FragmentStore, forms: Iterable[Form[Any]], schemas: OfficialSchemas, found: Found) -> None:
        self._store = store
        self._forms = [form for form in forms if "datex2" in form.path]
        self._schemas = schemas
        self._found = found

    async def run(self, stop: asyncio.Event) -> None:
        """Check round after round until told to stop."""
        while True:
            for form in self._forms:
                for pk, message in await asyncio.to_thread(self.check, form):
                    await self._found(form, pk, message)
            if await happens(stop, within=PAUSE):
                return

    def check(self, form: Form[Any]) -> list[tuple[int, str]]:
        """(row number, what is wrong) of a sample; a publication without rows cannot be valid and is not looked at."""
        with self._store.reading() as reading:
            rows = _sample(reading, form)
        if not rows:
            return []
        wrong = self._error(form, rows)
        _CHECKED.labels(form.name, "valid" if wrong is None else "invalid").inc()
        if wrong is None:
            return []
        alone = [(row, self._error(form, [row])) for row in rows]
        found = [(_number(row[0]), message) for row, message in alone if message is not None]
        return found or [(_number(rows[0][0]), f"together with others: {wrong}")]

    def _error(self, form: Form[Any], rows: list[tuple[bytes, bytes]]) -> str | None:
        now = datetime.now(UTC)
        operators = tuple(dict.fromkeys(key_operator(key) for key, _ in rows))
        content = b"".join(form.join(Envelope(modified_at=now, published_at=now, groups=operators), grouped(iter(rows))))
        try:
            return self._schemas.error(content, form)
        except Exception as error:  # not even well-formed
            return f"{type(error).__name__}: {error}"


def _number(key: bytes) -> int:
    return int.from_bytes(key[-8:], "big")


def _sample(reading: Reading, form: Form[Any]) -> list[tuple[bytes, bytes]]:
    """Some rows by chance, in feed order."""
    chosen: list[bytes] = []
    seen = 0
    for key, _, shown in reading.heads(form.name):
        if not shown:
            continue
        seen += 1
        if len(chosen) < _ROWS:
            chosen.append(bytes(key))
        elif (place := random.randrange(seen)) < _ROWS:
            chosen[place] = bytes(key)
    return [(key, reading.fragment(form.name, key) or b"") for key in sorted(chosen)]
