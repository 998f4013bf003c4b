"""The countries' boxes, and the setting that replaces them."""

from __future__ import annotations

import pytest

from ocpi_nap.model.areas import COUNTRIES, Area, area
from ocpi_nap.settings import Settings

EU_AND_EEA = {
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IS", "IT", "LI", "LV", "LT", "LU", "MT", "NL",
    "NO", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
}  # fmt: skip
CAPITALS = {
    "AT": (48.21, 16.37), "BE": (50.85, 4.35), "BG": (42.70, 23.32), "CH": (46.95, 7.45), "CY": (35.17, 33.36), "CZ": (50.08, 14.44),
    "DE": (52.52, 13.40), "DK": (55.68, 12.57), "EE": (59.44, 24.75), "ES": (40.42, -3.70), "FI": (60.17, 24.94), "FR": (48.86, 2.35),
    "GR": (37.98, 23.73), "HR": (45.81, 15.98), "HU": (47.50, 19.04), "IE": (53.35, -6.26), "IS": (64.15, -21.94), "IT": (41.90, 12.50),
    "LI": (47.14, 9.52), "LT": (54.69, 25.28), "LU": (49.61, 6.13), "LV": (56.95, 24.11), "MT": (35.90, 14.51), "NL": (52.37, 4.90),
    "NO": (59.91, 10.75), "PL": (52.23, 21.01), "PT": (38.72, -9.14), "RO": (44.43, 26.10), "SE": (59.33, 18.07), "SI": (46.06, 14.51),
    "SK": (48.15, 17.11),
}  # fmt: skip
FAR_AWAY = {
    "ES": (28.12, -15.43), "FR": (-20.88, 55.45), "PT": (37.74, -25.67), "NO": (78.22, 15.65), "FI": (60.10, 19.94), "GR": (36.15, 29.59),
    "IT": (35.50, 12.61), "DK": (55.10, 14.70),
}  # fmt: skip


def test_every_country_has_its_capital() -> None:
    assert EU_AND_EEA <= set(COUNTRIES) == set(CAPITALS)
    for code, place in [*CAPITALS.items(), *FAR_AWAY.items()]:
        assert COUNTRIES[code].holds(*place), code
        assert not COUNTRIES[code].holds(*reversed(place)), f"{code}: the same place with its numbers exchanged"


def test_what_the_settings_say() -> None:
    assert Settings(country_code="fi").where is COUNTRIES["FI"]
    assert Settings(country_code="US").where is None
    assert Settings(area="off").where is None
    both = Settings(country_code="BE", area="2.4,49.4,6.6,51.6; 5.7,49.4,6.6,50.2").where
    assert isinstance(both, Area) and len(both.boxes) == 2 and both.holds(49.6, 6.1) and not both.holds(60, 25)


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "10,50,5,60", "0,60,10,50", "0,0,200,10", "nan,0,1,1", "1,2,3,4;"])
def test_boxes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"required|less"):
        area("FI", text)
