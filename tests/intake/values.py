"""Values as platforms send them, by the row of the field's deviations: the cases of test_values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ocpi_nap.model import objects
from tests.versions import FROM_221, VERSIONS

Got = tuple[objects.Location, list[objects.Evse]]


@dataclass
class Case:
    """A deviation: where it is, what the canonical form says of it, and the rules that are recorded."""

    name: str
    change: dict[str, Any]
    says: Callable[[Got], Any]
    wanted: Any
    rules: set[str] = field(default_factory=set)
    level: str = "location"
    versions: tuple[str, ...] = tuple(VERSIONS)
    code: int = 1000


def place(*names: str) -> Callable[[Got], Any]:
    """Attributes of the Location; one by itself."""
    return lambda got: getattr(got[0], names[0]) if len(names) == 1 else tuple(getattr(got[0], name) for name in names)


def evse(*names: str) -> Callable[[Got], Any]:
    return lambda got: getattr(got[1][0], names[0]) if len(names) == 1 else tuple(getattr(got[1][0], name) for name in names)


def plug(*names: str) -> Callable[[Got], Any]:
    def say(got: Got) -> Any:
        found = got[1][0].connectors[0]
        return getattr(found, names[0]) if len(names) == 1 else tuple(getattr(found, name) for name in names)

    return say


def point(got: Got) -> Any:
    geo = got[0].coordinates
    return geo and (geo.latitude, geo.longitude)


def at_evse(got: Got) -> Any:
    geo = got[1][0].coordinates
    return geo and (geo.latitude, geo.longitude)


def geo(latitude: Any, longitude: Any) -> dict[str, Any]:
    return {"coordinates": {"latitude": latitude, "longitude": longitude}}


def hours(*days: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"opening_times": {**({"regular_hours": list(days)} if days else {}), **more}}


def day(weekday: Any, begin: Any, end: Any) -> dict[str, Any]:
    return {"weekday": weekday, "period_begin": begin, "period_end": end}


def opened(got: Got) -> Any:
    found = got[0].opening_times
    return found and (found.twentyfourseven, [(h.weekday, h.period_begin, h.period_end) for h in found.regular_hours])


def moment(text: str) -> Callable[[Got], Any]:
    """Whether the first status schedule begins then."""
    wanted = datetime.fromisoformat(text)
    return lambda got: (schedule := got[1][0].status_schedule) and schedule[0].period_begin == wanted


def schedule(text: Any) -> dict[str, Any]:
    return {"status_schedule": [{"period_begin": text, "status": "INOPERATIVE"}]}


V23 = ("2.3.0",)
CLOSED = ("2.1.1", "2.2.1")
LATER = tuple(FROM_221)
CASES = {
    "I-93": [
        Case("postal code", {"postal_code": 540}, place("postal_code"), "540", {"number_as_text"}),
        Case(
            "floor",
            {"floor_level": -1, "physical_reference": 3},
            evse("floor_level", "physical_reference"),
            ("-1", "3"),
            {"number_as_text"},
            "evse",
        ),
        Case(
            "power as text",
            {"max_voltage": "230", "max_amperage": 32.0},
            plug("max_voltage", "max_amperage"),
            (230, 32),
            {"text_as_number"},
            "connector",
            LATER,
        ),
        Case(
            "voltage as text",
            {"voltage": "230", "amperage": 32.0},
            plug("max_voltage", "max_amperage"),
            (230, 32),
            {"text_as_number"},
            "connector",
            ("2.1.1",),
        ),
        Case("not whole", {"max_amperage": 12.5}, plug("max_amperage"), Decimal("12.5"), {"not_integral"}, "connector", LATER),
        Case("not a number", {"max_amperage": "many"}, plug("max_amperage"), None, {"text_as_number"}, "connector", LATER),
        Case("beyond 64 bits", {"max_electric_power": 10**40}, plug("max_electric_power"), None, {"out_of_range"}, "connector", LATER),
    ],
    "I-94": [
        Case("numbers", geo(60.1699, 24.9384), point, (60.1699, 24.9384)),
        Case("two decimals, comma, blanks", geo(" 60,17", "+24.93840000000001 "), point, (60.17, 24.93840000000001), {"decimal_comma"}),
        Case("exponent", geo("6.01699e1", "24.9384"), point, (60.1699, 24.9384)),
        Case("swapped", geo("24.9384", "60.1699"), point, (24.9384, 60.1699), {"coordinates_swapped"}),
        Case("abroad", geo("52.1", "4.9"), point, (52.1, 4.9), {"coordinates_abroad"}),
        Case("out of range", geo("95", "24"), point, None, code=2001),
        Case("zero", geo(0, "0.0"), point, None, code=2001),
        Case("no number", geo("north", "24"), point, None, code=2001),
        Case("of an EVSE", geo("74x", ""), at_evse, None, {"coordinate_invalid"}, "evse"),
        Case("zero of an EVSE", geo("0.000000", "0.000000"), at_evse, None, level="evse"),
        Case("empty of an EVSE", {"coordinates": ""}, at_evse, None, level="evse"),
    ],
    "I-95": [
        Case("no zone", schedule("2026-01-01T10:00:00"), moment("2026-01-01T10:00:00+00:00"), True, level="evse"),
        Case("space, fraction", schedule("2026-01-01 10:00:00.123456789z"), moment("2026-01-01T10:00:00.123456+00:00"), True, level="evse"),
        Case("offset", schedule("2026-01-01t12:00:00+0200"), moment("2026-01-01T10:00:00+00:00"), True, {"timestamp_offset"}, "evse"),
        Case("second 60", schedule("2026-01-01T10:00:60Z"), moment("2026-01-01T10:00:59+00:00"), True, {"timestamp_form"}, "evse"),
        Case(
            "second 66",
            schedule("2026-01-01T10:00:66Z"),
            lambda got: got[1][0].status_schedule[0].period_begin,
            None,
            {"timestamp_invalid"},
            "evse",
        ),
        Case("epoch", schedule(1767261600), lambda got: got[1][0].status_schedule[0].period_begin, None, {"timestamp_invalid"}, "evse"),
    ],
    "I-96": [
        Case("lower case", {"status": "available"}, evse("status"), "AVAILABLE", {"enum_spelling"}, "evse"),
        Case("another word", {"status": "OUT_OF_ORDER"}, evse("status"), "OUTOFORDER", {"enum_spelling"}, "evse"),
        Case("no status", {"status": "OCCUPIED"}, evse("status"), "UNKNOWN", {"unknown_enum"}, "evse"),
        Case(
            "mixed case kept",
            {"standard": "iec_60309_2_THREE_16"},
            plug("standard"),
            "IEC_60309_2_three_16",
            {"enum_spelling"},
            "connector",
        ),
        Case(
            "unknown",
            {"capabilities": ["rfid_reader", "QR"]},
            evse("capabilities"),
            ["RFID_READER"],
            {"enum_spelling", "unknown_enum"},
            "evse",
            CLOSED,
        ),
        Case("open", {"capabilities": ["rfid_reader", "QR"]}, evse("capabilities"), ["RFID_READER", "QR"], {"enum_spelling"}, "evse", V23),
        Case("newer than the version", {"standard": "MCS"}, plug("standard"), "MCS", level="connector"),
        Case(
            "type",
            {"type": "on_street"},
            place("parking_type", "location_type_211"),
            ("ON_STREET", "ON_STREET"),
            {"enum_spelling"},
            versions=("2.1.1",),
        ),
        Case(
            "type of no other version", {"type": "OTHER"}, place("parking_type", "location_type_211"), (None, "OTHER"), versions=("2.1.1",)
        ),
        Case("closed power type", {"power_type": "AC"}, plug("power_type"), None, {"unknown_enum"}, "connector"),
    ],
    "I-97": [
        Case(
            "kept without standard",
            {"standard": "Type2"},
            plug("id", "standard", "format"),
            ("1", None, "SOCKET"),
            {"unknown_enum"},
            "connector",
            CLOSED,
        ),
        Case("kept with its own", {"standard": "Type2"}, plug("id", "standard"), ("1", "Type2"), set(), "connector", V23),
    ],
    "I-98": [
        Case(
            "nulls",
            {"name": None, "images": None, "facilities": [None, "HOTEL"]},
            place("name", "images", "facilities"),
            (None, [], ["HOTEL"]),
        ),
        Case("null of the core", {"city": None}, place("city"), None, code=2001),
    ],
    "I-99": [
        Case(
            "empty texts",
            {"name": "", "operator": {"name": "Abc", "website": ""}},
            lambda got: (got[0].name, got[0].operator.website),
            (None, None),
        ),  # type: ignore[union-attr]
        Case("empty floor", {"floor_level": "", "evse_id": ""}, evse("floor_level", "evse_id"), (None, None), level="evse"),
        Case("empty core", {"address": ""}, place("address"), None, code=2001),
    ],
    "I-100": [
        Case("null", {"evses": None}, lambda got: got[1], []),
        Case("empty", {"evses": []}, lambda got: got[1], []),
        Case("one by itself", {"evses": {"uid": "X", "status": "AVAILABLE"}}, lambda got: [e.uid for e in got[1]], ["X"]),
    ],
    "I-101": [
        Case("none", {"connectors": []}, evse("connectors"), [], {"required_invalid"}, "evse"),
        Case("null", {"connectors": None}, evse("connectors"), [], {"required_missing"}, "evse"),
        Case(
            "broken ones",
            {"connectors": [7, None, {"id": "1"}]},
            lambda got: [c.id for c in got[1][0].connectors],
            ["1"],
            {"wrong_type"},
            "evse",
        ),
    ],
    "I-102": [
        Case("no id", {"id": None}, plug("id", "id_inferred"), ("~1", True), {"id_inferred"}, "connector"),
        Case("a number", {"id": 7}, plug("id"), "7", {"number_as_text"}, "connector"),
        Case(
            "twice",
            {"connectors": [{"id": "1", "standard": "CHADEMO"}, {"id": "1", "standard": "IEC_62196_T2"}]},
            lambda got: [c.standard for c in got[1][0].connectors],
            ["IEC_62196_T2"],
            {"duplicate_id"},
            "evse",
        ),
    ],
    "I-104": [
        Case("no times", {"last_updated": None}, place("name"), "Asema 1", {"required_missing"}),
        Case("of the EVSE", {"last_updated": "yesterday"}, evse("status"), "AVAILABLE", {"timestamp_invalid"}, "evse"),
    ],
    "I-105": [
        Case("less important", {"postal_code": None, "time_zone": None, "type": None}, place("postal_code", "time_zone"), (None, None)),
        Case("wrong zone", {"time_zone": "Helsinki"}, place("time_zone"), None, {"time_zone_invalid"}),
        Case("blank city", {"city": " "}, place("city"), None, code=2001),
        Case("no country", {"country": None}, place("country"), None, code=2001),
    ],
    "I-106": [
        Case("two letters", {"country": "de"}, place("country"), "DEU", {"country_alpha2"}),
        Case("lower case", {"country": "fin"}, place("country"), "FIN", {"country_form"}),
        Case("a name", {"country": "Suomi"}, place("country"), "Suomi", {"country_form"}),
    ],
    "I-107": [
        Case("no flag", hours(day("1", "8:00", "20:00:00")), opened, (False, [(1, "08:00", "20:00")])),
        Case(
            "end of the day",
            hours(day(1, "00:00", "24:00"), day(2, "00:00", "00:00"), day(3, "22:00", "02:00"), twentyfourseven=False),
            opened,
            (False, [(1, "00:00", "24:00"), (2, "00:00", "24:00"), (3, "22:00", "02:00")]),
        ),
        Case(
            "broken days",
            hours(day(0, "8:00", "9:00"), day(8, "8:00", "9:00"), day(2, "25:00", "9:00"), day(3, "9:00", "10:00"), twentyfourseven=False),
            opened,
            (False, [(3, "09:00", "10:00")]),
            {"weekday_invalid", "hours_incomplete"},
        ),
        Case(
            "contradiction",
            hours(day(1, "08:00", "20:00"), twentyfourseven=True),
            opened,
            (True, [(1, "08:00", "20:00")]),
            {"hours_contradict"},
        ),
        Case("null", hours(twentyfourseven=True, regular_hours=None), opened, (True, [])),
        Case("nothing in it", {"opening_times": {"exceptional_openings": []}}, opened, (None, [])),
        Case(
            "offset in exceptions",
            {
                "opening_times": {
                    "twentyfourseven": True,
                    "exceptional_closings": [{"period_begin": "2014-06-24T00:00:00+02:00", "period_end": "2014-06-25T00:00:00+02:00"}],
                }
            },
            lambda got: got[0].opening_times.exceptional_closings[0].period_begin,
            datetime(2014, 6, 23, 22, tzinfo=UTC),
            {"timestamp_offset"},
        ),  # type: ignore[union-attr]
    ],
    "I-108": [
        Case(
            "plain text",
            {"directions": "Behind"},
            lambda got: [(t.language, t.text) for t in got[0].directions],
            [(None, "Behind")],
            {"plain_text", "not_a_list"},
        )
    ],
    "I-109": [
        Case("object for a list", {"facilities": "HOTEL"}, place("facilities"), ["HOTEL"], {"not_a_list"}),
        Case(
            "list for an object", {"operator": [{"name": "Abc"}]}, lambda got: got[0].operator and got[0].operator.name, "Abc", {"wrapped"}
        ),
        Case("no object", {"operator": 7}, place("operator"), None, {"wrong_type"}),
    ],
    "I-110": [
        Case(
            "other separators", {"evse_id": "fi-abc-e1*2"}, evse("evse_id", "evse_id_normal"), ("fi-abc-e1*2", "FI*ABC*E1*2"), level="evse"
        ),
        Case("none", {"evse_id": "FIABCE1 2"}, evse("evse_id", "evse_id_normal"), ("FIABCE1 2", "FI*ABC*E12"), level="evse"),
        Case("as it should be", {"evse_id": "FI*ABC*E1"}, evse("evse_id", "evse_id_normal"), ("FI*ABC*E1", None), level="evse"),
        Case("as uid", {"uid": None}, evse("uid"), "FI*ABC*E1", {"uid_inferred"}, "evse"),
        Case("as id", {"uid": None, "evse_id": None, "id": "X7"}, evse("uid"), "X7", {"uid_inferred"}, "evse"),
    ],
    "I-111": [
        Case(
            "missing",
            {"max_electric_power": None},
            plug("max_electric_power", "derived_power"),
            (None, 22080),
            level="connector",
            versions=LATER,
        ),
        Case(
            "in 2.1.1",
            {"voltage": 400, "amperage": 125, "power_type": "DC"},
            plug("max_electric_power", "derived_power"),
            (None, 50000),
            level="connector",
            versions=("2.1.1",),
        ),
        Case(
            "line to line",
            {"max_voltage": 400, "max_electric_power": None},
            plug("max_voltage", "derived_power"),
            (400, 22170),
            {"voltage_line_to_line"},
            "connector",
            LATER,
        ),
        Case(
            "kilowatts",
            {"max_electric_power": 22},
            plug("max_electric_power", "derived_power"),
            (22, None),
            {"power_in_kilowatts"},
            "connector",
            LATER,
        ),
        Case(
            "one phase's",
            {"max_voltage": 400, "max_electric_power": 12800},
            plug("max_electric_power"),
            12800,
            {"power_of_one_phase"},
            "connector",
            LATER,
        ),
    ],
    "I-112": [
        Case(
            "long",
            {"name": "N" * 300, "address": "A" * 300},
            lambda got: (len(got[0].name or ""), len(got[0].address or "")),
            (300, 300),
            {"too_long"},
        ),
        Case("floor", {"floor_level": "second floor"}, evse("floor_level"), "second floor", {"too_long"}, "evse"),
    ],
    "I-113": [
        Case("text", {"publish": "true"}, place("publish"), True, {"text_as_boolean"}, versions=LATER),
        Case("missing", {"publish": None}, place("publish"), None, {"required_missing"}, versions=LATER),
    ],
    "I-114": [
        Case("ids", {"parking": ["P1", None]}, lambda got: [p.parking_id for p in got[1][0].parking], ["P1"], level="evse", versions=V23)
    ],
    "I-117": [
        Case("text", {"name": "#NA", "directions": "#NA"}, place("name"), None, versions=LATER),
        Case("coordinates", {"coordinates": "#NA"}, point, None, code=2001, versions=LATER),
    ],
    "I-118": [
        Case(
            "no name",
            {"operator": {"website": "https://x"}},
            lambda got: got[0].operator and got[0].operator.website,
            "https://x",
            {"required_missing"},
        )
    ],
    "I-120": [
        Case(
            "control characters",
            {"name": "Ase\u0007ma\u0000 \ud800<b>1</b>\n", "x_\u0001": "\u0000"},
            place("name", "extra"),
            ("Asema \ufffd<b>1</b>\n", {"x_": ""}),
        ),
    ],
    "I-90": [
        Case(
            "inlined",
            {"tariff_ids": None, "tariffs": [{"id": "T7", "currency": "EUR"}]},
            plug("tariff_ids", "extra"),
            (["T7"], {"tariffs": [{"id": "T7", "currency": "EUR"}]}),
            {"tariffs_inlined"},
            "connector",
            LATER,
        )
    ],
    "I-92": [
        Case(
            "older names",
            {"max_voltage": None, "max_amperage": None, "tariff_ids": None, "voltage": 230, "amperage": 16, "tariff_id": "T9"},
            plug("max_voltage", "max_amperage", "tariff_ids"),
            (230, 16, ["T9"]),
            level="connector",
            versions=LATER,
        ),
        Case("both", {"voltage": 1}, plug("max_voltage", "extra"), (230, {"voltage": 1}), level="connector", versions=LATER),
        Case(
            "newer names",
            {"help_phone": "+358", "parking_type": "PARKING_LOT"},
            place("help_phone", "parking_type"),
            ("+358", "PARKING_LOT"),
        ),
        Case(
            "older impact",
            {"energy_mix": {"is_green_energy": True, "environ_impact": [{"source": "NUCLEAR_WASTE", "amount": "1.10"}]}},
            lambda got: got[0].energy_mix and [(i.category, i.amount) for i in got[0].energy_mix.environ_impact],
            [("NUCLEAR_WASTE", Decimal("1.10"))],
        ),
    ],
    "R41": [
        Case(
            "open enums",
            {"facilities": ["SAUNA"], "parking_type": "ICE_ROAD"},
            place("facilities", "parking_type"),
            (["SAUNA"], "ICE_ROAD"),
            versions=V23,
        ),
        Case(
            "mix",
            {
                "energy_mix": {
                    "is_green_energy": False,
                    "energy_sources": [{"source": "COAL", "percentage": 60}, {"source": "SOLAR", "percentage": "39.9"}],
                }
            },
            lambda got: got[0].energy_mix and got[0].energy_mix.energy_sources[1].percentage,
            Decimal("39.9"),
            {"energy_mix_sum"},
        ),
        Case(
            "image without URL",
            {
                "images": [
                    {"category": "CHARGER", "type": "png"},
                    {"url": "https://i", "category": "CHARGER", "type": "image/png", "width": 0},
                ]
            },
            lambda got: [(i.url, i.type, i.width) for i in got[0].images],
            [("https://i", "png", None)],
            {"required_missing"},
        ),
    ],
}
