"""SQL of the operator register."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from ocpi_nap.model.ids import fold
from ocpi_nap.model.register import Fact
from ocpi_nap.store.database import Conn, Database
from ocpi_nap.store.feed import FeedLocation

Subject = tuple[str, str, str]
"""(country code, party, location id); the id is "" for an operator as a whole."""

_PUT = """
INSERT INTO register AS r (country_code, party_id, location_key, location_id, field, value, source, author)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (country_code, party_id, location_key, field) DO UPDATE
   SET value = excluded.value, source = excluded.source, author = excluded.author, location_id = excluded.location_id, at = now()
 WHERE r.value IS DISTINCT FROM excluded.value OR (r.source, r.author) IS DISTINCT FROM (excluded.source, excluded.author)
"""
# What is taken away stays as null: when that was shows in the versions of what the fact was part of.
_REMOVE = """
UPDATE register SET value = 'null', source = %s, author = %s, at = now()
 WHERE (country_code, party_id, location_key, field) = (%s, %s, %s, %s) AND value <> 'null'
"""
_CHANGED = """
INSERT INTO change (kind, location_pk)
SELECT 'location', pk FROM location WHERE country_code = %s AND party_id = %s AND (%s = '' OR lower(id) = lower(%s)) ORDER BY pk
"""
_UNKNOWN = """
SELECT s.ordinal, o.known IS NOT NULL
  FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS s(country_code, party_id, location_id, ordinal)
  LEFT JOIN LATERAL (
       SELECT true AS known FROM operator o WHERE (o.country_code, o.party_id) = (s.country_code, s.party_id) LIMIT 1) o ON true
 WHERE o.known IS NULL
    OR s.location_id <> '' AND NOT EXISTS (
       SELECT FROM location l
        WHERE (l.country_code, l.party_id) = (s.country_code, s.party_id) AND lower(l.id) = lower(s.location_id))
 ORDER BY s.ordinal
"""
_LIST = """
SELECT country_code, party_id, location_id, field, value, source, author, at FROM register
 WHERE value <> 'null' AND (%(country)s::text IS NULL OR country_code = %(country)s) AND (%(party)s::text IS NULL OR party_id = %(party)s)
 ORDER BY country_code, party_id, location_key, field
"""
_OF_SUBJECT = """
SELECT country_code, party_id, location_id, field, value, source, author, at FROM register
 WHERE (country_code, party_id, location_key) = (%s, %s, %s) AND value <> 'null' ORDER BY field
"""
_PLACES = """
SELECT location_id, count(*), max(at) FROM register
 WHERE (country_code, party_id) = (%s, %s) AND location_key <> '' AND value <> 'null'
 GROUP BY location_key, location_id ORDER BY location_key LIMIT %s
"""
_OPERATORS = "SELECT DISTINCT country_code, party_id FROM operator ORDER BY country_code, party_id"
_FACTS = """
SELECT r.country_code, r.party_id, r.location_key, r.field, r.value, r.at
  FROM register r
 WHERE (r.country_code, r.party_id) IN (SELECT * FROM unnest(%s::text[], %s::text[])) AND (r.location_key = '' OR r.location_key = ANY(%s))
"""


async def hold(conn: Conn) -> None:
    """Keep other writers of the register waiting until the transaction ends; readers go on."""
    await conn.execute("LOCK TABLE register IN SHARE ROW EXCLUSIVE MODE")


async def facts_of_subject(conn: Conn, subject: Subject) -> list[Fact]:
    """What the register has of an operator as a whole, or of one location."""
    cursor = await conn.execute(_OF_SUBJECT, (subject[0], subject[1], fold(subject[2])))
    return [Fact(*row) for row in await cursor.fetchall()]


async def places_with_facts(db: Database, country_code: str, party_id: str, size: int) -> list[tuple[str, int, datetime]]:
    """(location id, facts, when the latest of them was written) of an operator's locations that have facts of their own."""
    return [(row[0], row[1], row[2]) for row in await db.fetch_all(_PLACES, (country_code, party_id, size))]


async def known_operators(db: Database) -> list[tuple[str, str]]:
    """(country code, party) of everyone whose data a platform delivers."""
    return [(row[0], row[1]) for row in await db.fetch_all(_OPERATORS)]


async def unknown_subjects(conn: Conn, subjects: list[Subject]) -> dict[Subject, str]:
    """Those that no platform delivers, as "operator" or "location"."""
    if not subjects:
        return {}
    rows = await (await conn.execute(_UNKNOWN, tuple(list(column) for column in zip(*subjects, strict=True)))).fetchall()
    return {subjects[ordinal - 1]: "location" if operator_known else "operator" for ordinal, operator_known in rows}


async def put_facts(conn: Conn, facts: Iterable[Fact]) -> int:
    """Write facts, or take away those without a value; what shows them is rendered again. Returns how many differ from before."""
    touched: dict[Subject, None] = {}
    changed = 0
    for fact in facts:
        key = (fact.country_code, fact.party_id, fold(fact.location), fact.field)
        if fact.value is None:
            done = await conn.execute(_REMOVE, (fact.source, fact.author, *key))
        else:
            values = (*key[:3], fact.location, fact.field, Jsonb(fact.value), fact.source, fact.author)
            done = await conn.execute(_PUT, values)
        if done.rowcount:
            changed += 1
            touched[fact.country_code, fact.party_id, fact.location] = None
    for country, party, location in touched:
        await conn.execute(_CHANGED, (country, party, location, location))
    if touched:
        await conn.execute("SELECT pg_notify('feed', '')")
    return changed


async def list_facts(db: Database, country_code: str | None = None, party_id: str | None = None) -> list[Fact]:
    """The register, or what it has of an operator and its locations."""
    return [Fact(*row) for row in await db.fetch_all(_LIST, {"country": country_code, "party": party_id})]


async def facts_of(db: Database, rows: list[FeedLocation]) -> dict[int, tuple[dict[str, Any], datetime | None]]:
    """By location pk what the register says of it, the location's own facts before its operator's, and when any of that last changed."""
    parties = sorted({(row.country_code, row.party_id) for row in rows})
    if not parties:
        return {}
    countries, ids = ([party[n] for party in parties] for n in (0, 1))
    found: dict[Subject, dict[str, tuple[Any, datetime]]] = {}
    for country, party, location, name, value, at in await db.fetch_all(_FACTS, (countries, ids, [fold(row.id) for row in rows])):
        found.setdefault((country, party, location), {})[name] = value, at
    return {row.pk: _together(found, row.country_code, row.party_id, fold(row.id)) for row in rows} if found else {}


def _together(
    found: dict[Subject, dict[str, tuple[Any, datetime]]], country: str, party: str, key: str
) -> tuple[dict[str, Any], datetime | None]:
    said = [found.get((country, party, subject), {}) for subject in ("", key)]
    facts = {name: value for part in said for name, (value, _) in part.items() if value is not None}
    return facts, max((at for part in said for _, at in part.values()), default=None)
