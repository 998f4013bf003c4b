"""Finnish towns: name, latitude and longitude of the centre (WGS 84), postal code, inhabitants in thousands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Town:
    """A town: degrees (WGS 84) of its centre, inhabitants in thousands."""

    name: str
    latitude: float
    longitude: float
    postal_code: str
    thousands: int


_TABLE = """
Helsinki 60.1699 24.9384 00100 674 | Espoo 60.2055 24.6559 02100 314 | Tampere 61.4978 23.7610 33100 255
Vantaa 60.2934 25.0378 01300 247 | Oulu 65.0121 25.4651 90100 214 | Turku 60.4518 22.2666 20100 201
Jyväskylä 62.2426 25.7473 40100 147 | Kuopio 62.8924 27.6770 70100 124 | Lahti 60.9827 25.6612 15110 121
Pori 61.4851 21.7974 28100 83 | Kouvola 60.8679 26.7042 45100 79 | Joensuu 62.6010 29.7636 80100 78
Lappeenranta 61.0583 28.1863 53100 73 | Vaasa 63.0951 21.6165 65100 68 | Hämeenlinna 60.9959 24.4643 13100 68
Seinäjoki 62.7903 22.8403 60100 66 | Rovaniemi 66.5039 25.7294 96100 65 | Mikkeli 61.6886 27.2723 50100 52
Porvoo 60.3932 25.6654 06100 51 | Kotka 60.4664 26.9458 48100 51 | Salo 60.3831 23.1331 24100 51
Kokkola 63.8385 23.1307 67100 48 | Lohja 60.2508 24.0657 08100 46 | Hyvinkää 60.6333 24.8667 05800 47
Järvenpää 60.4737 25.0899 04400 46 | Nurmijärvi 60.4641 24.8073 01900 45 | Rauma 61.1272 21.5113 26100 39
Tuusula 60.4030 25.0297 04300 42 | Kirkkonummi 60.1238 24.4385 02400 41 | Kajaani 64.2273 27.7285 87100 36
Kerava 60.4034 25.1050 04200 38 | Savonlinna 61.8687 28.8786 57130 32 | Nokia 61.4766 23.5053 37100 36
Ylöjärvi 61.5563 23.5961 33470 34 | Kangasala 61.4639 24.0650 36200 34 | Vihti 60.4170 24.3197 03400 29
Riihimäki 60.7391 24.7722 11100 28 | Raisio 60.4860 22.1690 21200 26 | Imatra 61.1927 28.7765 55100 26
Raahe 64.6834 24.4793 92100 24 | Sastamala 61.3417 22.9105 38200 24 | Hollola 60.9886 25.5147 15870 23
Tornio 65.8481 24.1466 95400 21 | Iisalmi 63.5592 27.1907 74100 21 | Kemi 65.7364 24.5637 94100 20
Varkaus 62.3153 27.8730 78200 20 | Hamina 60.5697 27.1979 49400 20 | Kurikka 62.6167 22.4000 61300 20
Naantali 60.4674 22.0243 21100 20 | Jämsä 61.8642 25.1902 42100 20 | Pietarsaari 63.6740 22.7027 68600 19
Valkeakoski 61.2643 24.0310 37600 21 | Äänekoski 62.6030 25.7260 44100 18 | Heinola 61.2026 26.0350 18100 18
Forssa 60.8145 23.6215 30100 16 | Kuusamo 65.9646 29.1887 93600 15 | Ylivieska 64.0719 24.5376 84100 15
Loimaa 60.8494 23.0582 32200 15 | Lieksa 63.3187 30.0257 81700 10 | Nurmes 63.5417 29.1417 75500 9
Sotkamo 64.1321 28.3875 88600 10 | Kittilä 67.6539 24.9114 99100 7 | Sodankylä 67.4163 26.5889 99600 8
Inari 68.9059 27.0288 99870 7 | Muonio 67.9569 23.6786 99300 2 | Ivalo 68.6574 27.5407 99800 4
Maarianhamina 60.0973 19.9348 22100 12 | Hanko 59.8236 22.9701 10900 8 | Raasepori 59.9756 23.4361 10600 27
Loviisa 60.4569 26.2251 07900 15 | Viitasaari 63.0667 25.8667 44500 6 | Pudasjärvi 65.3600 26.9980 93100 7
"""


def _read() -> tuple[Town, ...]:
    towns = []
    for entry in _TABLE.replace("\n", "|").split("|"):
        if entry.strip():
            name, latitude, longitude, postal_code, thousands = entry.split()
            towns.append(Town(name, float(latitude), float(longitude), postal_code, int(thousands)))
    return tuple(towns)


TOWNS = _read()
STREETS = (
    "Asemakatu", "Kauppakatu", "Koulukatu", "Rantatie", "Satamakatu", "Teollisuustie", "Kirkkokatu", "Torikatu", "Puistokatu",
    "Rautatienkatu", "Urheilutie", "Myllytie", "Keskuskatu", "Hallituskatu", "Varastokatu", "Lentoasemantie", "Järvitie", "Sairaalantie",
)  # fmt: skip
SITES = (
    "Asema", "Tori", "Satama", "Marketti", "Huoltoasema", "Hotelli", "Urheilukeskus", "Liityntäpysäköinti", "Kirjasto", "Uimahalli",
    "Kauppakeskus", "Toimistotalo", "Pysäköintitalo", "Matkakeskus",
)  # fmt: skip
