"""The public map at its boundary: tiles, list, search, details, deep links, and what a hostile or broken request gets."""

from __future__ import annotations

import importlib.util
import json
import random
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import mapbox_vector_tile
import pytest

from ocpi_nap.web.context import SiteOptions
from ocpi_nap.web.map import grid
from ocpi_nap.web.map.base import OSM, BadBaseMap, BaseMap, worker_script
from ocpi_nap.web.map.live import Live
from ocpi_nap.web.map.view import Filter
from tests.e2e.cpo import tariff
from tests.interface import Ocpi
from tests.web.conftest import URL, Site
from tests.web.mapping import HELSINKI, LATER, Cpo, evse, live_of, numbers, place, tile, up_to_date


async def test_tiles_cluster_far_out_and_show_each_location_close_up(site: Site, network: Cpo) -> None:
    far = await tile(site, 0)
    assert sum(feature["properties"]["n"] for feature in far) == 3
    assert numbers(await tile(site, 8)) == [(2, 1, 3, 0)]
    assert numbers(await tile(site, 6, (62.6, 25.7))) == [(1, 0, 1, 1)]
    close = await tile(site, 14)
    assert numbers(close) == [(1, 0, 1, 2), (1, 1, 2, 0)]
    assert all(feature["properties"]["pk"] for feature in close)
    assert {feature["properties"].get("town") for feature in await tile(site, 7)} == {"Helsinki"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?connector=ccs", [(1, 0, 1, 1)]), ("?connector=ccs&connector=chademo", [(1, 0, 1, 1)]), ("?connector=chademo&power=100", []),
        ("?power=100", [(1, 0, 1, 1)]), ("?free=1", [(1, 1, 2, 0)]), ("?free=1&connector=ccs", []),
        ("?operator=FI*ABC", [(2, 1, 3, 0)]), ("?operator=FI*XYZ", []), ("?connector=tesla", []), ("?power=&operator=", [(2, 1, 3, 0)]),
    ],
)  # fmt: skip
async def test_filters_count_evses(site: Site, network: Cpo, query: str, expected: list[Any]) -> None:
    """A filter asks for one connector that has all of it: a CHAdeMO cable of 50 kW beside 150 kW CCS is not 100 kW CHAdeMO."""
    assert numbers(await tile(site, 8, query=query)) == expected


async def test_power_that_was_not_sent_is_that_of_voltage_and_current(site: Site, cpo: Cpo) -> None:
    silent = evse(1)
    silent["connectors"][0] |= {"power_type": "DC", "max_electric_power": None}
    await cpo.put(place("L1", silent))
    assert numbers(await tile(site, 8, query="?power=50")) == [(1, 1, 1, 0)]
    assert await tile(site, 8, query="?power=100") == [], "400 V and 200 A are 80 kW"


async def test_a_tile_is_sent_again_only_when_it_changed(site: Site, network: Cpo) -> None:
    await up_to_date(live_of(site))
    x, y = grid.project(HELSINKI[1], HELSINKI[0])
    path, other = f"/map/tiles/10/{int(x * 1024)}/{int(y * 1024)}", "/map/tiles/10/0/0"
    first = await site.client.get(path)
    assert first.headers["content-encoding"] == "gzip" and (await site.client.get(other)).status_code == 204
    known = {"if-none-match": first.headers["etag"]}
    assert (await site.client.get(path, headers=known)).status_code == 304
    await network.status("L3/U4", "AVAILABLE")
    await up_to_date(live_of(site))
    assert (await site.client.get(path, headers=known)).status_code == 304, "a change elsewhere"
    await network.status("L2/U3", "AVAILABLE")
    await up_to_date(live_of(site))
    assert (await site.client.get(path, headers=known)).status_code == 200


async def test_locations_come_move_and_go(site: Site, cpo: Cpo, ocpi: Ocpi) -> None:
    assert await tile(site, 14) == []
    await cpo.put(place("L1", evse(1)))
    assert numbers(await tile(site, 14)) == [(1, 1, 1, 0)]
    await cpo.put(place("L1", evse(1), coordinates={"latitude": "62.6", "longitude": "25.7"}, last_updated=LATER))
    assert await tile(site, 14) == [] and len(await tile(site, 14, (62.6, 25.7))) == 1
    await cpo.put(place("L1", evse(1), publish=False, last_updated="2026-04-01T00:00:00Z"))
    assert await tile(site, 0) == []


async def test_a_stray_location_does_not_stretch_the_first_view(site: Site, network: Cpo) -> None:
    for number in range(40):
        spot = {"latitude": f"{60.1 + number / 1000:.4f}", "longitude": "24.9000"}
        await network.put(place(f"N{number}", evse(100 + number), coordinates=spot))
    await network.put(place("Z2", evse(71), coordinates={"latitude": "-24.9384", "longitude": "-60.1699"}))
    await up_to_date(live_of(site))
    assert sum(feature["properties"]["n"] for feature in await tile(site, 0)) == 44
    west, south, east, north = json.loads(re.search(r"bounds&#34;: (\[[^]]+\])", (await site.client.get("/")).text)[1])  # type: ignore[index]
    assert 24 < west < east < 27 and 59 < south < north < 63


async def test_following_gives_what_a_fresh_start_gives(site: Site, cpo: Cpo) -> None:
    """Counts brought up to date change by change equal those of a map that has just read everything."""
    chance, statuses = random.Random(5), ["AVAILABLE", "CHARGING", "OUTOFORDER", "UNKNOWN", "REMOVED"]
    connectors = [("IEC_62196_T2", 22_000), ("IEC_62196_T2_COMBO", 99_000)]
    live, chosen = live_of(site), [Filter(), Filter(kinds=("ccs",)), Filter(free=True)]
    for number in range(60):
        identity = f"P{chance.randrange(12)}"
        spot = {"latitude": f"{60 + chance.random():.4f}", "longitude": f"{24 + chance.random():.4f}"}
        evses = [
            evse(100 * int(identity[1:]) + n, chance.choice(statuses), *chance.sample(connectors, chance.randint(1, 2)))
            for n in range(chance.randint(1, 4))
        ]
        stamp = f"2026-05-01T00:00:{number:02d}Z"
        body = place(identity, *evses, coordinates=spot, publish=chance.random() < 0.8, last_updated=stamp)
        for item in evses:
            item["last_updated"] = stamp
        await cpo.put(body)
        await up_to_date(live)
        for one in chosen:
            live.views.get(one)
    fresh = Live(site.db, live.environments)  # type: ignore[arg-type]
    await up_to_date(fresh)
    assert len(fresh.network) == len(live.network) > 3
    for one in chosen:
        totals = []
        for each in (live, fresh):
            order, _ = each.network.ordered()
            totals.append({int(each.network.locations.pk[slot]): each.views.get(one).counts[slot].tolist() for slot in order})
        assert totals[0] == totals[1]


HOSTILE = [
    "/map/tiles/15/0/0", "/map/tiles/3/8/0", "/map/tiles/3/0/8", "/map/tiles/-1/0/0", "/map/tiles/1/-1/0", "/map/tiles/a/b/c",
    "/map/tiles/99999999999999999999/0/0", "/map/tiles/0/0/1e3", "/map/tiles/٣/0/0", "/map/tiles/0/0/0.pbf", "/map/tiles/1/1",
    "/map/tiles/0/0/0?connector=nonsense", "/map/tiles/0/0/0?power=-5", "/map/tiles/0/0/0?power=1e9", "/map/tiles/0/0/0?power=99999",
    "/map/tiles/0/0/0?free=yes", "/map/tiles/0/0/0?operator=" + "x" * 41,
    "/map/tiles/0/0/0?" + "&".join(f"operator={n}" for n in range(60)),
    "/map/outlines/7/0/0", "/map/outlines/x/0/0", "/map/list?bbox=1,2,3", "/map/list?bbox=a,b,c,d", "/map/list?bbox=nan,0,1,1",
    "/map/list?bbox=2,0,1,1", "/map/list?bbox=0,inf,1,1", "/map/list?bbox=" + "1" * 300, "/map/list?connector=%00",
    "/map/location", "/map/location?pk=0", "/map/location?pk=99999999999999999999", "/map/location?pk=-1", "/map/location?pk=abc",
    "/map/location?ref=", "/map/location?ref=FI", "/map/location?ref=FI*ABC*%00", "/map/location?ref=FI*ABC*" + "x" * 500,
    "/map/location?ref=FI*ABC*'%3B+DROP+TABLE+location", "/map/live?zoom=15", "/map/live?zoom=-1", "/map/live?zoom=x", "/map/live?pk=x",
    "/map/live?since=soon", "/map/live?since=nan", "/map/nothing", "/?loc=FI*ABC*nowhere", "/?connector=nonsense", "/?power=loud",
]  # fmt: skip


async def test_what_cannot_be_is_refused(site: Site, network: Cpo) -> None:
    answers = {path: (await site.client.get(path)).status_code for path in HOSTILE}
    assert {path: status for path, status in answers.items() if not 400 <= status < 500} == {}


QUESTIONS = ["", " ", "a", "%00", "x" * 5000, "(((", "\\", "%25_%25", "%ED%A0%80", "😀", "'; --", "<script>alert(1)</script>"]


async def test_search_takes_anything(site: Site, network: Cpo) -> None:
    for path in [f"{page}?q={question}" for page in ("/map/search", "/") for question in QUESTIONS]:
        answer = await site.client.get(path)
        assert answer.status_code == 200 and "<script>alert" not in answer.text, path


async def test_search_finds_towns_and_locations(site: Site, network: Cpo) -> None:
    async def found(question: str) -> str:
        await up_to_date(live_of(site))
        return (await site.client.get("/map/search", params={"q": question})).text

    assert 'data-name="Äänekoski"' in await found("aane") and 'data-name="Äänekoski"' in await found("ÄÄNEK")
    text = await found("helsinki")
    assert text.index('data-bounds="') < text.index('data-name="Asema L1"') < text.index('data-name="Asema L2"')
    assert "Asema L3" in await found("l3 mannerheim") and "Asema L1" not in await found("l3 mannerheim")
    assert 'role="option" aria-disabled' in await found("zzzz")


async def test_the_list_is_what_the_map_shows(site: Site, network: Cpo) -> None:
    await up_to_date(live_of(site))
    text = (await site.client.get("/map/list?bbox=24.9,60.1,25.0,60.2&free=1")).text
    assert "1 location on the map" in text and "Asema L1" in text and "1 of 2 free" in text
    assert "/?loc=FI*ABC*L1&amp;free=1" in text and "CCS <b>150 kW</b>" in text
    assert "No location here fits" in (await site.client.get("/map/list?bbox=0,0,1,1")).text


async def test_details_resolve_prices_and_hours(site: Site, cpo: Cpo) -> None:
    await cpo.put(tariff("2.2.1") | {
        "type": "AD_HOC_PAYMENT",
        "elements": [
            {"price_components": [{"type": "ENERGY", "price": 0.4, "vat": 25.5, "step_size": 1}]},
            {"price_components": [{"type": "PARKING_TIME", "price": 6, "step_size": 60}],
             "restrictions": {"min_duration": 10800, "day_of_week": ["MONDAY", "TUESDAY", "WEDNESDAY", "FRIDAY"], "start_time": "08:00"}},
        ],
    }, "tariffs")  # fmt: skip
    days = [{"weekday": day, "period_begin": "07:00", "period_end": "21:00"} for day in (1, 2, 3, 4, 5)]
    hours = {"twentyfourseven": False, "regular_hours": [*days, {"weekday": 7, "period_begin": "10:00", "period_end": "16:00"}]}
    await cpo.put(place("L1", evse(1), evse(2, "CHARGING"), evse(9, "PLANNED"), opening_times=hours))
    answer = await site.client.get("/map/location?ref=FI*ABC*L1&lang=en")
    assert answer.status_code == 200
    text = " ".join(answer.text.split())
    assert "0.502 € / kWh" in text and "incl. VAT 25.5%" in text
    assert "after 180 min" in text and "Mon–Wed, Fri" in text and "08:00–24:00" in text and "excl. VAT" in text
    assert "<dt>Mon–Fri</dt><dd>07:00–21:00</dd>" in text and "<dt>Sun</dt><dd>10:00–16:00</dd>" in text
    assert "otherwise" not in text
    assert "FI*ABC*E1" in text and "FI*ABC*E9" not in text and "Free" in text and "In use" in text and "22 kW" in text
    finnish = (await site.client.get("/map/location?ref=FI*ABC*L1&lang=fi")).text
    assert "0,502\u00a0€ / kWh" in finnish and "ma–ke, pe" in " ".join(finnish.split())


async def test_prices_of_several_tariffs_are_told_apart(site: Site, cpo: Cpo) -> None:
    """Each stands with its connectors; one that is over, or not yet begun, is not shown."""
    def priced(identity: str, price: float, **more: Any) -> dict[str, Any]:
        component = {"type": "ENERGY", "price": price, "step_size": 1}
        return tariff("2.2.1") | {"id": identity, "elements": [{"price_components": [component]}]} | more

    bounds = {"min_price": {"excl_vat": 1, "incl_vat": 1.25}, "max_price": {"excl_vat": 40}}
    await cpo.put(priced("AC", 0.25, **bounds), "tariffs")
    await cpo.put(priced("OLD", 0.11, end_date_time="2026-01-02T00:00:00Z"), "tariffs")
    await cpo.put(priced("SOON", 0.12, start_date_time="2999-01-02T00:00:00Z"), "tariffs")
    slow, fast = evse(1), evse(2, "AVAILABLE", ("IEC_62196_T2_COMBO", 150_000), ("CHADEMO", 50_000))
    slow["connectors"][0]["tariff_ids"] = ["ac", "OLD", "SOON"]
    for connector in fast["connectors"]:
        connector["tariff_ids"] = ["DC"]
    night = {"price_components": [{"type": "ENERGY", "price": 0.15, "step_size": 1}], "restrictions": {"start_time": "22:00"}}
    by_day = {"price_components": [{"type": "ENERGY", "price": 0.75, "step_size": 1}, {"type": "FLAT", "price": 1, "step_size": 1}]}
    await cpo.put(priced("DC", 0.75) | {"elements": [night, by_day]}, "tariffs")
    await cpo.put(place("L1", slow, fast))
    text = " ".join((await site.client.get("/map/location?ref=fi*abc*l1&lang=en")).text.split())
    shown = [re.sub(r"<[^>]+>| +", " ", part) for part in text.split('<div class="tariff">')[1:]]
    assert len(shown) == 2 and "0.11" not in text and "0.12" not in text
    assert "CCS 150 kW, CHAdeMO 50 kW" in " ".join(shown[0].split()) and "0.75" in shown[0]
    told = [" ".join(part.split()) for part in shown[0].split("excl. VAT")]
    assert told[1:3] == ["Energy otherwise 0.75 € / kWh", "Session fee 1.00 € / session"]
    assert "Type 2 22 kW" in " ".join(shown[1].split()) and "0.25" in shown[1]
    assert "At least" in shown[1] and "1.25" in shown[1] and "incl. VAT" in shown[1] and "At most" in shown[1] and "40.00" in shown[1]


async def test_days_that_differ_from_the_usual_hours(site: Site, cpo: Cpo) -> None:
    """Whole days, a part of a day and a night, in the location's own time; what is past or far ahead is left out."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=10)

    def period(begin: datetime, end: datetime) -> dict[str, str]:
        return {"period_begin": f"{begin:%Y-%m-%dT%H:%M:%SZ}", "period_end": f"{end:%Y-%m-%dT%H:%M:%SZ}"}

    hour = timedelta(hours=1)
    hours = {
        "twentyfourseven": True,
        "exceptional_closings": [
            period(day, day + 72 * hour), period(day - 900 * hour, day - 800 * hour), period(day + 9000 * hour, day + 9001 * hour),
        ],
        "exceptional_openings": [period(day + 106 * hour, day + 110 * hour), period(day + 140 * hour, day + 150 * hour)],
    }  # fmt: skip
    await cpo.put(place("L1", evse(1), opening_times=hours, time_zone="UTC", directions=[{"language": "en", "text": "Behind the shop"}]))
    text = " ".join((await site.client.get("/map/location?ref=FI*ABC*L1&lang=en")).text.split())
    dates = [f"{date.day}/{date.month}" for date in (day + n * 24 * hour for n in range(7))]
    assert re.findall(r"<dt>(\d+/[^<]*)</dt><dd>([^<]+)</dd>", text) == [
        (f"{dates[0]}–{dates[2]}", "closed"), (dates[4], "10:00–14:00"), (f"{dates[5]} 20:00–{dates[6]} 06:00", "open"),
    ]  # fmt: skip
    assert "Behind the shop" in text


async def test_details_without_price_or_with_marks(site: Site, cpo: Cpo) -> None:
    """What operators write is text, and only web addresses are links."""
    nasty = "<img src=x onerror=alert(1)>"
    await site.db.execute("UPDATE operator SET url = 'javascript:alert(1)', name = %s", (nasty,))
    await cpo.put(place("L1", evse(1), name=nasty, address='"><script>', help_phone=nasty[:20]))
    for path in ("/map/location?ref=FI*ABC*L1", "/?loc=FI*ABC*L1", "/map/list", "/map/search?q=mannerheim"):
        text = (await site.client.get(path)).text
        assert "<img src=x" not in text and "javascript:" not in text and '"><script' not in text, path
    assert "The operator has given no price" in (await site.client.get("/map/location?ref=FI*ABC*L1")).text


async def test_a_deep_link_shows_the_location_and_the_filters(site: Site, network: Cpo) -> None:
    text = (await site.client.get("/?loc=FI*ABC*L1&connector=ccs&power=50&lang=sv")).text
    assert "<title>Asema L1" in text and 'data-ref="FI*ABC*L1"' in text and '<html lang="sv">' in text
    assert 'value="ccs" checked' in text and '<option value="50" selected>' in text
    gone = await site.client.get("/?loc=FI*ABC*L9&lang=en")
    assert gone.status_code == 404 and "no longer here" in gone.text and 'id="map"' in gone.text


async def test_the_page_is_small_and_strict(site: Site, network: Cpo) -> None:
    answer = await site.client.get("/")
    assert len(answer.content) < 100_000
    policy = answer.headers["content-security-policy"]
    assert "worker-src 'self'" in policy and "blob:" not in policy and "unsafe" not in policy
    assert "Asema L1" in answer.text, "the list is there without JavaScript"


@pytest.mark.parametrize(
    ("setting", "policy"),
    [("", "img-src 'self' data:;"), ("osm", "https://tile.openstreetmap.org"), ("https://t.example/{z}/{x}/{y}.png", "https://t.example"),
     ("/tiles/{z}/{x}/{y}", "connect-src 'self';")],
)  # fmt: skip
async def test_the_base_map_by_setting(database: Any, site: Site, setting: str, policy: str) -> None:
    from ocpi_nap.web.site import create_site

    app = create_site(site.db, site.registry, SiteOptions(public_url=URL, map_tiles=setting))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as client:
        answer = await client.get("/")
    assert policy in answer.headers["content-security-policy"]
    assert ("OpenStreetMap contributors" in answer.text) == (setting == "osm")


@pytest.mark.parametrize(
    "setting",
    ["x", "https://t.example/", "ftp://t.example/{z}/{x}/{y}", "https:///{z}/{x}/{y}", "//t.example/{z}/{x}/{y}",
     "https://t.example; script-src */{z}/{x}/{y}"],
)  # fmt: skip
def test_a_base_map_that_cannot_be_used(setting: str) -> None:
    with pytest.raises(BadBaseMap):
        BaseMap.of(setting, "")
    assert BaseMap.of("osm", "").tiles == OSM


async def test_without_the_library_the_page_is_a_list(site: Site, network: Cpo, monkeypatch: pytest.MonkeyPatch) -> None:
    from ocpi_nap.web.site import create_site

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "maplibre" else find(name, *more))
    app = create_site(site.db, site.registry, SiteOptions(public_url=URL))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as client:
        answer = await client.get("/")
    assert answer.status_code == 200 and "maplibre" not in answer.text and "Asema L1" in answer.text


def test_a_library_of_another_make_is_not_used() -> None:
    with pytest.raises(ValueError, match="substring"):
        worker_script("export const Map = 1;")


async def test_outlines(site: Site) -> None:
    answer = await site.client.get("/map/outlines/5/18/9")
    assert answer.status_code == 200 and "land" in mapbox_vector_tile.decode(answer.content)
    assert (await site.client.get("/map/outlines/6/0/0")).status_code == 204
    x, y = grid.project(HELSINKI[1], HELSINKI[0])
    near = await site.client.get(f"/map/municipalities/7/{int(x * 128)}/{int(y * 128)}")
    lines = mapbox_vector_tile.decode(near.content)["municipalities"]["features"]
    assert near.status_code == 200 and len(near.content) < 100_000 and all("Line" in line["geometry"]["type"] for line in lines)
    assert (await site.client.get("/map/municipalities/7/0/0")).status_code == 204
    assert (await site.client.get("/map/municipalities/8/0/0")).status_code == 404
    assert "CC BY 4.0" in (await site.client.get("/")).text
