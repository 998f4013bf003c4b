"""A location, a tariff and facts of the register with everything in them."""

from __future__ import annotations

from typing import Any

from tests.e2e import cpo
from tests.feed.datex2.support import location, tariff

RICH = {
    **cpo.location("2.3.0", 1),
    "parking_type": "PARKING_GARAGE",
    "directions": [{"language": "fi", "text": "Rampista alas"}],
    "facilities": ["WIFI", "CAFE", "TRAIN_STATION", "NATURE"],
    "owner": {"name": "Omistaja Oy"},
    "help_phone": "09 123 456",
    "operator": {"name": "Lataus Oy", "website": "https://lataus.example/x?y=1&z=2", "logo": {"url": "https://lataus.example/l.png"}},
    "opening_times": {
        "twentyfourseven": False,
        "regular_hours": [{"weekday": day, "period_begin": "07:00", "period_end": "02:00"} for day in (1, 2, 3)],
        "exceptional_closings": [{"period_begin": "2026-12-24T10:00:00Z", "period_end": "2026-12-26T22:00:00Z"}],
    },
    "energy_mix": {"is_green_energy": True, "energy_sources": [{"source": "WIND", "percentage": 100}], "energy_product_name": "Tuuli"},
    "parking_places": [
        {"id": "P1", "vehicle_types": ["PERSONAL_VEHICLE", "VAN"], "max_vehicle_weight": 3500, "max_vehicle_height": 250, "roofed": True},
        {"id": "P2", "vehicle_types": ["DISABLED"], "lighting": True, "parking_space_length": 500},
    ],
    "images": [{"url": "https://lataus.example/a.jpg", "category": "ENTRANCE", "type": "jpeg"}],
    "charging_when_closed": False,
    "related_locations": [{"latitude": "60.1700", "longitude": "24.9400", "name": {"language": "fi", "text": "Portti"}}],
    "state": "Uusimaa",
}
EVSE = {
    **RICH["evses"][0],
    "evse_id": "FI*ABC*E1*1",
    "floor_level": "-2",
    "physical_reference": "2",
    "parking": [{"parking_id": "P1"}],
    "accepted_service_providers": ["Ampeeri", "Voltti"],
    "parking_restrictions": ["CUSTOMERS"],
    "capabilities": ["CHIP_CARD_SUPPORT", "CONTACTLESS_CARD_SUPPORT", "RESERVABLE", "REMOTE_START_STOP_CAPABLE"],
    "status_schedule": [{"period_begin": "2026-12-01T00:00:00Z", "status": "INOPERATIVE"}],
}
TARIFF = {
    **cpo.tariff("2.3.0"),
    "type": "AD_HOC_PAYMENT",
    "max_price": {"before_taxes": 40, "after_taxes": 50},
    "tariff_alt_text": [{"language": "fi", "text": "0,36 €/kWh"}],
    "elements": [
        {
            "price_components": [{"type": "ENERGY", "price": 0.2, "vat": 25.5, "step_size": 1}],
            "restrictions": {"start_time": "22:00", "end_time": "07:00", "day_of_week": ["SATURDAY"]},
        },
        {
            "price_components": [
                {"type": "ENERGY", "price": 0.2912, "vat": 25.5, "step_size": 100},
                {"type": "FLAT", "price": 0.5, "vat": 25.5},
            ]
        },
        {"price_components": [{"type": "PARKING_TIME", "price": 6, "vat": 25.5, "step_size": 60}], "restrictions": {"min_duration": 2700}},
    ],
}
FACTS = {
    "legal_name": "ABC Lataus Oyj",
    "helpdesk_phone": "+358 9123456",
    "helpdesk_email": "apu@abc.example",
    "organisation_number": "1234567-8",
    "service_type": "unattended",
    "payment_means": ["qrCode", "website"],
    "payment_brands": ["visa"],
    "payment_service_providers": ["Maksu"],
    "mobility_service_providers": ["Kulkija"],
    "roaming_platforms": ["Silta"],
    "station_power": 300000,
    "nuts1": "FI1",
    "toilet": True,
    "catering": False,
    "roofed": True,
    "lighting": False,
}


def rich(**facts: Any) -> tuple[Any, Any]:
    price = tariff(TARIFF)
    raw = {**RICH, "evses": [EVSE, {**EVSE, "uid": "U2", "evse_id": "FI*ABC*E1*2"}]}
    return location(raw, tariffs={"T1": price}, facts=facts), price
