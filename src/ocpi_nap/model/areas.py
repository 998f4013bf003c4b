"""Where the chargers of a country can be: rough boxes in degrees (WGS 84), to find coordinates that can hardly be meant."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""West, south, east, north."""


@dataclass(frozen=True, slots=True)
class Area:
    """The boxes of a country, overseas territories apart from the mainland."""

    name: str
    boxes: tuple[Box, ...]

    def holds(self, latitude: float, longitude: float) -> bool:
        """Whether a point lies in one of the boxes."""
        return any(west <= longitude <= east and south <= latitude <= north for west, south, east, north in self.boxes)


# Rounded outwards to a tenth of a degree: a point a little over the border is no mistake worth telling.
_TABLE = """
AT Austria: 9.4,46.3,17.3,49.1
BE Belgium: 2.4,49.4,6.5,51.6
BG Bulgaria: 22.2,41.1,28.8,44.3
CH Switzerland: 5.9,45.7,10.6,47.9
CY Cyprus: 32.2,34.5,34.7,35.8
CZ Czechia: 12.0,48.5,18.9,51.1
DE Germany: 5.8,47.2,15.1,55.1
DK Denmark: 7.9,54.5,15.3,57.9
EE Estonia: 21.7,57.4,28.3,59.8
ES Spain: -9.4,35.1,4.4,43.9; -18.3,27.5,-13.3,29.5
FI Finland: 19.0,59.4,31.7,70.2
FR France: -5.3,41.2,9.7,51.2; -63.2,17.8,-62.7,18.2; -61.9,15.7,-60.9,16.6; -61.3,14.3,-60.7,15.0; -54.7,2.0,-51.5,5.9;
 44.9,-13.1,45.4,-12.5; 55.1,-21.5,55.9,-20.8
GR Greece: 19.3,34.7,29.7,41.8
HR Croatia: 13.4,42.3,19.5,46.6
HU Hungary: 16.0,45.7,23.0,48.6
IE Ireland: -10.7,51.3,-5.9,55.5
IS Iceland: -24.6,63.2,-13.4,66.6
IT Italy: 6.6,35.4,18.6,47.1
LI Liechtenstein: 9.4,47.0,9.7,47.3
LT Lithuania: 20.9,53.8,26.9,56.5
LU Luxembourg: 5.7,49.4,6.6,50.2
LV Latvia: 20.9,55.6,28.3,58.1
MT Malta: 14.1,35.7,14.7,36.1
NL Netherlands: 3.2,50.7,7.3,53.6
NO Norway: 4.4,57.9,31.2,71.3; 10.4,76.4,33.5,80.9
PL Poland: 14.0,48.9,24.2,54.9
PT Portugal: -9.6,36.9,-6.1,42.2; -17.4,32.3,-16.2,33.2; -31.4,36.8,-24.9,39.8
RO Romania: 20.2,43.6,29.8,48.3
SE Sweden: 10.9,55.2,24.2,69.1
SI Slovenia: 13.3,45.4,16.7,46.9
SK Slovakia: 16.8,47.7,22.6,49.7
"""


def read_boxes(text: str) -> tuple[Box, ...]:
    """``west,south,east,north`` in degrees, several parted by semicolons; ValueError when that is not what it is."""
    boxes: list[Box] = []
    for part in text.split(";"):
        try:
            west, south, east, north = (float(number) for number in part.split(","))
        except ValueError:
            raise ValueError(f"west,south,east,north in degrees is required (got {part.strip()[:60]!r})") from None
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError(f"west and south must be less than east and north, in degrees (got {part.strip()[:60]!r})")
        boxes.append((west, south, east, north))
    return tuple(boxes)


def _countries() -> dict[str, Area]:
    found = {}
    for line in _TABLE.replace(";\n", ";").strip().splitlines():
        title, _, boxes = line.partition(":")
        found[title[:2]] = Area(title[3:], read_boxes(boxes))
    return found


COUNTRIES = _countries()
"""By ISO 3166-1 alpha-2 code: the countries of the EU and the EEA, and Switzerland."""


def area(country_code: str, setting: str = "") -> Area | None:
    """What the setting says, else the country; None where nothing is to be judged: ``off``, or a country that is not in the table."""
    if setting.strip().lower() == "off":
        return None
    if setting.strip():
        return Area("the NAP's area", read_boxes(setting))
    return COUNTRIES.get(country_code.upper())
