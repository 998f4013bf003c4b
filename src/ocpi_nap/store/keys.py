"""Look-up forms of ids: what is stored of a platform follows it to a version that compares ids otherwise (R45, R105)."""

from __future__ import annotations

from ocpi_nap.store.database import Conn

# Of several objects with one new key the first place keeps it; the others are found by no push any more, and go with the next full pull.
_OBJECTS = """
WITH placed AS (
    SELECT pk, id_key, {key} AS key, row_number() OVER (
           PARTITION BY country_code, party_id, {key} ORDER BY withdrawn_at IS NOT NULL, id_key <> {key}, pk) AS place,
           bool_or(id_key = {key}) OVER (PARTITION BY country_code, party_id, {key}) AS taken
      FROM {table} t WHERE platform_id = %s
)
UPDATE {table} t SET id_key = p.key FROM placed p WHERE p.pk = t.pk AND p.place = 1 AND NOT p.taken
"""
_EVSES = """
WITH placed AS (
    SELECT e.location_pk, e.uid_key, {key} AS key, row_number() OVER (
           PARTITION BY e.location_pk, {key} ORDER BY s.withdrawn_at IS NOT NULL, e.ordinal, e.uid_key) AS place,
           bool_or(e.uid_key = {key}) OVER (PARTITION BY e.location_pk, {key}) AS taken
      FROM location l JOIN evse e ON e.location_pk = l.pk JOIN evse_state s USING (location_pk, uid_key)
     WHERE l.platform_id = %s
), moved AS (
    SELECT location_pk, uid_key, key FROM placed WHERE place = 1 AND NOT taken
), states AS (
    UPDATE evse_state s SET uid_key = m.key FROM moved m WHERE s.location_pk = m.location_pk AND s.uid_key = m.uid_key
), told AS (
    UPDATE public_location p
       SET evses = (SELECT jsonb_object_agg(coalesce(m.key, j.key), j.value) FROM jsonb_each(p.evses) AS j
                      LEFT JOIN moved m ON m.location_pk = p.location_pk AND m.uid_key = j.key)
     WHERE p.evses <> '{{}}' AND p.location_pk IN (SELECT location_pk FROM moved)
)
UPDATE evse e SET uid_key = m.key FROM moved m WHERE e.location_pk = m.location_pk AND e.uid_key = m.uid_key
"""
_FOLDED, _EXACT = 'lower({} COLLATE "C")', "{}"


async def rekey(conn: Conn, platform_id: int, *, ids_have_case: bool) -> None:
    """Give what is stored of a platform the keys under which its version looks for ids; most often they are that already."""
    form = _EXACT if ids_have_case else _FOLDED
    for table in ("location", "tariff"):
        await conn.execute(_OBJECTS.format(table=table, key=form.format("t.id")).encode(), (platform_id,))
    await conn.execute(_EVSES.format(key=form.format("e.uid")).encode(), (platform_id,))
