"""One location as people read it: EVSEs with their connectors and statuses, prices with their tariffs resolved, opening hours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from ocpi_nap.model import objects
from ocpi_nap.model.objects import DisplayText, Hours, Price, PriceComponent, Tariff, TariffRestrictions
from ocpi_nap.store import map as sql
from ocpi_nap.store.database import Database
from ocpi_nap.web.map import offers

Translate = Callable[..., str]
_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_UNITS = {"ENERGY": "kwh", "TIME": "hour", "PARKING_TIME": "hour", "FLAT": "session"}
_MOST_TARIFFS = 100
_AHEAD, _MOST_EXCEPTIONS = timedelta(days=60), 8
"""Days that differ from the usual hours are shown so long before."""


@dataclass
class ShownPrice:
    """One price: what it is for, the amount with its unit, and when it applies."""

    kind: str
    amount: str
    tax: str
    conditions: list[str]


@dataclass
class ShownTariff:
    """A tariff's prices; ``of``: kinds and kilowatts of the connectors that have it."""

    url: str | None
    prices: list[ShownPrice]
    kind: str | None
    of: list[tuple[str, float]] = field(default_factory=list)

    @property
    def says(self) -> tuple[Any, ...]:
        """What it says, whoever has it."""
        return self.url, self.prices, self.kind


@dataclass
class ShownConnector:
    """A connector; ``kind`` is one of `offers.KINDS`, ``standard`` what OCPI calls it."""

    kind: str
    standard: str
    power: float
    current: str
    cable: bool
    tariffs: tuple[str, ...]


@dataclass
class ShownEvse:
    """An EVSE; `state` is one of `offers.STATES`."""

    id: str
    label: str
    state: str
    status: str
    since: datetime
    connectors: list[ShownConnector]


@dataclass
class ShownLocation:
    """All that the panel of a location says."""

    pk: int
    ref: str
    name: str
    address: str
    directions: str | None
    latitude: float | None
    longitude: float | None
    operator: str
    operator_url: str | None
    phone: str | None
    hours: list[tuple[str, str]]
    exceptions: list[tuple[str, str]]
    always_open: bool
    evses: list[ShownEvse]
    tariffs: list[ShownTariff]
    without_price: bool
    counts: dict[str, int] = field(default_factory=dict)


def web_address(text: str | None) -> str | None:
    """An http(s) URL that may be a link, None for anything else."""
    try:
        parts = urlsplit(text or "")
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.netloc else None


def parse_ref(ref: str) -> tuple[str, str, str] | None:
    """(country code, party id, location id) of `FI*ABC*ID`; None when it is not of that form."""
    country, _, rest = ref.partition("*")
    party, _, identity = rest.partition("*")
    if not (country and party and identity) or len(ref) > 300 or "\x00" in ref:
        return None
    return country.upper(), party.upper(), identity


async def load(
    db: Database, environments: list[str], t: Translate, language: str, *, pk: int | None = None, ref: tuple[str, str, str] | None = None
) -> ShownLocation | None:
    """A published location by number or reference."""
    found = await sql.location(db, environments, pk=pk, ref=ref)
    if found is None:
        return None
    doc = objects.decode_location(found.doc)
    evses = [_evse(number, *row) for number, row in enumerate(found.evses, 1)]
    evses = [evse for evse in evses if evse.connectors]
    wanted = sorted({identity for evse in evses for connector in evse.connectors for identity in connector.tariffs})
    documents = await sql.tariffs(db, found, wanted[:_MOST_TARIFFS]) if wanted else {}
    tariffs = _tariffs({identity: objects.decode_tariff(document) for identity, document in documents.items()}, evses, t, language)
    point = doc.coordinates
    return ShownLocation(
        pk=found.pk, ref=f"{found.country_code}*{found.party_id}*{found.id}", name=doc.name or doc.address or found.id,
        address=", ".join(part for part in (doc.address, " ".join(p for p in (doc.postal_code, doc.city) if p)) if part),
        directions=_words(doc.directions, language),
        latitude=point.latitude if point else None, longitude=point.longitude if point else None,
        operator=found.operator_name, operator_url=web_address(found.operator_url), phone=doc.help_phone,
        hours=_hours(doc.opening_times, t), exceptions=_exceptions(doc.opening_times, doc.time_zone, t),
        always_open=bool(doc.opening_times and doc.opening_times.twentyfourseven),
        evses=evses, tariffs=tariffs, without_price=not tariffs,
        counts={state: sum(evse.state == state for evse in evses) for state in offers.STATES},
    )  # fmt: skip


def _evse(number: int, public_id: str, doc: bytes, status: str, since: datetime) -> ShownEvse:
    evse = objects.decode_evse(doc)
    connectors = [
        ShownConnector(
            offers.KINDS[offers.kind(connector.standard)], connector.standard or "", offers.kilowatts(connector),
            "DC" if connector.power_type == "DC" else "AC" if connector.power_type else "", connector.format == "CABLE",
            tuple(connector.tariff_ids),
        )
        for connector in evse.connectors
    ]  # fmt: skip
    return ShownEvse(public_id, evse.physical_reference or str(number), offers.STATES[min(offers.state(status), offers.UNKNOWN)],
                     status, since, connectors)  # fmt: skip


def decimal_text(value: Decimal, language: str, places: int = 2) -> str:
    """A number with at least two digits after the point, a third where it says something."""
    text = f"{value:.3f}".rstrip("0")
    whole, _, digits = text.partition(".")
    text = f"{whole}.{digits.ljust(places, '0')}" if digits or places else whole
    return text if language == "en" else text.replace(".", ",")


def _short(value: Decimal | int | float, language: str) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return text if language == "en" else text.replace(".", ",")


def _money(amount: Decimal, currency: str | None, language: str) -> str:
    sign = {"EUR": "€", "SEK": "kr", "NOK": "kr", "DKK": "kr"}.get(currency or "", currency or "")
    return f"{decimal_text(amount, language)}\u00a0{sign}".strip()


def _price(component: PriceComponent, tariff: Tariff, t: Translate, language: str) -> tuple[str, str]:
    """The amount that is paid, with the tax where the tariff says how it is."""
    amount, vat = Decimal(component.price or 0), component.vat
    tax = t("map.tax.unknown")
    if tariff.tax_included == "YES":
        tax = t("map.tax.included", percent=_short(vat, language)) if vat is not None else t("map.tax.included.plain")
    elif tariff.tax_included == "NO" and vat is not None:
        amount *= 1 + vat / 100
        tax = t("map.tax.included", percent=_short(vat, language))
    elif tariff.tax_included == "NO":
        tax = t("map.tax.excluded")
    return _money(amount, tariff.currency, language), tax


def _words(texts: list[DisplayText], language: str) -> str | None:
    """A text in the reader's language, else in English, else in any."""
    found = {text.language: text.text for text in texts if text.text}
    return found.get(language) or found.get("en") or next(iter(found.values()), None)


def _tariffs(tariffs: dict[str, Tariff], evses: list[ShownEvse], t: Translate, language: str) -> list[ShownTariff]:
    """Those that hold now, alike ones once, each with the connectors that have it."""
    shown: list[ShownTariff] = []
    connectors = [connector for evse in evses for connector in evse.connectors]
    for identity, tariff in tariffs.items():
        one = _tariff(tariff, t, language) if _holds(tariff) else None
        if one is None or not one.prices:
            continue
        known = next((other for other in shown if other.says == one.says), one)
        if known is one:
            shown.append(one)
        named = {(connector.kind, connector.power) for connector in connectors if identity in connector.tariffs}
        known.of = sorted({*known.of, *named}, key=lambda of: (-of[1], of[0]))
    return sorted(shown, key=lambda one: [(-power, kind) for kind, power in one.of])


def _holds(tariff: Tariff) -> bool:
    now, begin, end = datetime.now(UTC), tariff.start_date_time, tariff.end_date_time
    return (begin is None or begin <= now) and (end is None or now < end)


def _bound(price: Price | None, word: str, tariff: Tariff, t: Translate, language: str) -> list[ShownPrice]:
    """The least or the most that a session costs."""
    amount = None if price is None else price.after_taxes if price.after_taxes is not None else price.before_taxes
    if price is None or amount is None:
        return []
    tax = t("map.tax.included.plain" if price.after_taxes is not None else "map.tax.excluded")
    return [ShownPrice(t(word), f"{_money(amount, tariff.currency, language)} {t('map.per.session')}", tax, [])]


def _tariff(tariff: Tariff, t: Translate, language: str) -> ShownTariff:
    prices = []
    bound: set[str | None] = set()  # what an element before has under conditions; the first that fits counts (OCPI TariffElement)
    for element in tariff.elements:
        own = _conditions(element.restrictions, t, language)
        for component in element.price_components:
            conditions = own or ([t("map.otherwise")] if component.type in bound else [])
            if own:
                bound.add(component.type)
            unit = _UNITS.get(component.type or "")
            if unit is None or component.price is None:
                continue
            amount, tax = _price(component, tariff, t, language)
            prices.append(ShownPrice(t(f"map.price.{(component.type or '').lower()}"), f"{amount} {t('map.per.' + unit)}", tax, conditions))
    if prices:
        prices += _bound(tariff.min_price, "map.price.least", tariff, t, language)
        prices += _bound(tariff.max_price, "map.price.most", tariff, t, language)
    return ShownTariff(web_address(tariff.tariff_alt_url), prices, tariff.type)


def _conditions(restrictions: TariffRestrictions | None, t: Translate, language: str) -> list[str]:
    """When a price applies, in words."""
    if restrictions is None:
        return []
    r, found = restrictions, []
    if r.start_time or r.end_time:
        found.append(f"{r.start_time or '00:00'}–{r.end_time or '24:00'}")
    if r.day_of_week:
        found.append(_days([_DAYS.index(day) for day in r.day_of_week if day in _DAYS], t))
    if r.start_date or r.end_date:
        found.append(f"{r.start_date or ''} – {r.end_date or ''}".strip())
    pairs: tuple[tuple[Any, str, Any, str], ...] = (
        (r.min_duration, "map.from.minutes", r.max_duration, "map.until.minutes"), (r.min_kwh, "map.from.kwh", r.max_kwh, "map.until.kwh"),
        (r.min_power, "map.from.kw", r.max_power, "map.until.kw"),
    )  # fmt: skip
    for low, from_text, high, until_text in pairs:
        scale = 60 if "minutes" in from_text else 1
        if low:
            found.append(t(from_text, value=_short(Decimal(low) / scale, language)))
        if high:
            found.append(t(until_text, value=_short(Decimal(high) / scale, language)))
    if r.reservation:
        found.append(t("map.reservation"))
    return [text for text in found if text]


def _days(days: list[int], t: Translate) -> str:
    """Weekdays from 0, runs of three and more with a dash."""
    days = sorted(set(days))
    runs: list[list[int]] = []
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    names = [
        f"{t(f'map.day.{run[0] + 1}')}–{t(f'map.day.{run[-1] + 1}')}" if len(run) > 2 else ", ".join(t(f"map.day.{d + 1}") for d in run)
        for run in runs
    ]
    return ", ".join(names)


def _hours(hours: Hours | None, t: Translate) -> list[tuple[str, str]]:
    """(days, times), days with the same times together."""
    if hours is None or hours.twentyfourseven:
        return []
    times: dict[int, list[str]] = {}
    for period in hours.regular_hours:
        if period.weekday is not None and 1 <= period.weekday <= 7:
            times.setdefault(period.weekday - 1, []).append(f"{period.period_begin or '00:00'}–{period.period_end or '24:00'}")
    together: dict[str, list[int]] = {}
    for day, parts in sorted(times.items()):
        together.setdefault(", ".join(parts), []).append(day)
    return [(_days(days, t), text) for text, days in together.items()]


def _exceptions(hours: Hours | None, zone: str | None, t: Translate) -> list[tuple[str, str]]:
    """(dates, what differs) of the coming days on which it is closed or open otherwise, in local time; none without its zone."""
    if hours is None:
        return []
    try:
        local = ZoneInfo(zone or "")
    except (ValueError, OSError, LookupError):
        return []
    now = datetime.now(UTC)
    found = []
    for periods, open_then in ((hours.exceptional_closings, False), (hours.exceptional_openings, True)):
        for period in periods:
            begin, end = period.period_begin, period.period_end
            if begin is not None and end is not None and begin < end and now < end and begin < now + _AHEAD:
                found.append((begin, *_exception(begin.astimezone(local), end.astimezone(local), open_then, t)))
    return [(dates, text) for _, dates, text in sorted(found)[:_MOST_EXCEPTIONS]]


def _exception(begin: datetime, end: datetime, open_then: bool, t: Translate) -> tuple[str, str]:
    """Whole days as days, parts of one day with their times, anything else from moment to moment."""
    last = end - timedelta(seconds=1)
    day, until = t("map.date", day=begin.day, month=begin.month), t("map.date", day=last.day, month=last.month)
    word = t("map.hours.open" if open_then else "map.hours.closed")
    if (begin.hour, begin.minute) == (0, 0) and (last.hour, last.minute) == (23, 59):
        return (day if begin.date() == last.date() else f"{day}–{until}"), word
    times = f"{begin:%H:%M}–{'24:00' if (last.hour, last.minute) == (23, 59) else f'{end:%H:%M}'}"
    if begin.date() == last.date():
        return day, times if open_then else f"{word} {times}"
    return f"{day} {begin:%H:%M}–{until} {end:%H:%M}", word
