"""The words of the map, a line a text: key, Finnish, Swedish, English."""

from __future__ import annotations

_TABLE = """
map.title | Latauspisteet | Laddstationer | Charging stations
map.lead | Julkiset sähköautojen latauspisteet, niiden tilat ja hinnat. | Publika laddstationer för elbilar, deras status och priser. | Public charging stations for electric cars, their statuses and prices.
map.region | Latauspisteiden kartta | Karta över laddstationer | Map of charging stations
map.region.help | Kartta näyttää samat paikat kuin luettelo sen vieressä. Nuolinäppäimet siirtävät, plus ja miinus muuttavat mittakaavaa. | Kartan visar samma platser som listan bredvid. Piltangenterna flyttar, plus och minus zoomar. | The map shows the same places as the list beside it. Arrow keys move it, plus and minus zoom.
map.search | Hae paikkaa tai latauspistettä | Sök ort eller laddstation | Search a place or station
map.search.example | Paikkakunta, osoite tai nimi | Ort, adress eller namn | Town, address or name
map.search.results | Hakutulokset | Sökresultat | Search results
map.search.none | Ei löytynyt mitään haulla ”{question}”. | Inget hittades för ”{question}”. | Nothing found for “{question}”.
map.search.short | Kirjoita vähintään kaksi merkkiä. | Skriv minst två tecken. | Type at least two characters.
map.town.count | {count} latauspaikkaa | {count} laddplatser | {count} locations
map.filters | Suodattimet | Filter | Filters
map.filters.show | Näytä | Visa | Show
map.filters.clear | Poista suodattimet | Rensa filter | Clear filters
map.filter.connector | Liitin | Kontakt | Connector
map.filter.power | Teho vähintään | Effekt minst | Power at least
map.filter.power.any | Mikä tahansa | Alla | Any
map.filter.operator | Operaattori | Operatör | Operator
map.filter.operator.any | Kaikki operaattorit | Alla operatörer | All operators
map.filter.free | Vapaa nyt | Ledig nu | Free now
map.kind.type2 | Tyyppi 2 | Typ 2 | Type 2
map.kind.ccs | CCS | CCS | CCS
map.kind.chademo | CHAdeMO | CHAdeMO | CHAdeMO
map.kind.domestic | Pistorasia | Vägguttag | Household socket
map.kind.tesla | Tesla | Tesla | Tesla
map.kind.other | Muu | Annan | Other
map.state.free | Vapaa | Ledig | Free
map.state.busy | Varattu | Upptagen | In use
map.state.broken | Epäkunnossa | Ur funktion | Out of order
map.state.unknown | Tila ei tiedossa | Okänd status | Status unknown
map.legend | Värien selitys | Färgförklaring | What the colours mean
map.legend.free | Vapaana | Lediga | Free
map.legend.busy | Kaikki käytössä | Alla upptagna | All in use
map.legend.broken | Epäkunnossa | Ur funktion | Out of order
map.legend.unknown | Ei tiedossa | Okänt | Unknown
map.legend.many | Useita paikkoja | Flera platser | Several locations
map.list.nothing | Latauspaikkoja ei vielä ole. | Det finns inga laddplatser än. | There are no charging locations yet.
map.list | Luettelo | Lista | List
map.map | Kartta | Karta | Map
map.list.count | {count} latauspaikkaa kartalla | {count} laddplatser på kartan | {count} locations on the map
map.list.one | 1 latauspaikka kartalla | 1 laddplats på kartan | 1 location on the map
map.list.more | Näytetään {limit} lähinnä kartan keskikohtaa. Lähennä, niin näet muut. | De {limit} närmast kartans mitt visas. Zooma in för att se fler. | The {limit} nearest to the middle of the map are shown. Zoom in to see the others.
map.list.none | Tällä alueella ei ole hakuun sopivia latauspaikkoja. | Inga laddplatser som passar här. | No location here fits.
map.list.none.help | Loitonna karttaa tai poista suodattimia. | Zooma ut eller ta bort filter. | Zoom out or take filters away.
map.free.of | {free} / {total} vapaana | {free} av {total} lediga | {free} of {total} free
map.back | Takaisin luetteloon | Tillbaka till listan | Back to the list
map.loading | Ladataan… | Laddar… | Loading…
map.unavailable | Karttaa ei voi näyttää tässä selaimessa. Luettelo, haku ja suodattimet toimivat. | Kartan kan inte visas i den här webbläsaren. Listan, sökningen och filtren fungerar. | The map cannot be shown in this browser. The list, the search and the filters work.
map.offline | Yhteys on poikki. Tilat voivat olla vanhentuneita. | Ingen anslutning. Status kan vara inaktuell. | The connection is lost. Statuses may be out of date.
map.gone | Tätä latauspaikkaa ei enää ole. | Den här laddplatsen finns inte längre. | This location is no longer here.
map.gone.help | Operaattori on poistanut sen, tai linkki on virheellinen. | Operatören har tagit bort den, eller så är länken fel. | Its operator has withdrawn it, or the link is wrong.
map.directions | Reittiohjeet | Vägbeskrivning | Directions
map.share | Kopioi linkki | Kopiera länk | Copy link
map.copied | Kopioitu | Kopierad | Copied
map.operator | Operaattori | Operatör | Operator
map.helpdesk | Asiakastuki | Kundtjänst | Helpdesk
map.hours | Aukioloajat | Öppettider | Opening hours
map.hours.always | Avoinna aina | Alltid öppet | Open around the clock
map.hours.unknown | Ei ilmoitettu | Inte angivet | Not given
map.hours.closed | suljettu | stängt | closed
map.hours.open | avoinna | öppet | open
map.hours.exceptions | Poikkeukset | Avvikande | Exceptions
map.date | {day}.{month}. | {day}/{month} | {day}/{month}
map.points | Latauspisteet | Laddpunkter | Charging points
map.point | Latauspiste {label} | Laddpunkt {label} | Charging point {label}
map.cable | kiinteä kaapeli | fast kabel | cable attached
map.socket | pistorasia, oma kaapeli | uttag, egen kabel | socket, bring a cable
map.since | Muuttunut | Ändrad | Changed
map.prices | Hinnat | Priser | Prices
map.prices.none | Operaattori ei ole ilmoittanut hintaa. | Operatören har inte angett något pris. | The operator has given no price.
map.prices.adhoc | Kertamaksu ilman sopimusta | Direktbetalning utan avtal | Paying on the spot, without a contract
map.prices.regular | Sopimusasiakkaan hinta | Pris för avtalskunder | Price with a contract
map.prices.link | Operaattorin hintatiedot | Operatörens prisinformation | The operator's price information
map.price.energy | Energia | Energi | Energy
map.price.time | Latausaika | Laddtid | Charging time
map.price.parking_time | Pysäköintiaika | Parkeringstid | Parking time
map.price.flat | Aloitusmaksu | Startavgift | Session fee
map.price.least | Vähintään | Minst | At least
map.price.most | Enintään | Högst | At most
map.per.kwh | / kWh | / kWh | / kWh
map.per.hour | / h | / h | / h
map.per.session | / kerta | / gång | / session
map.tax.included | sis. ALV {percent} % | inkl. moms {percent} % | incl. VAT {percent}%
map.tax.included.plain | sis. ALV | inkl. moms | incl. VAT
map.tax.excluded | ilman ALV:tä | exkl. moms | excl. VAT
map.tax.unknown | ALV ei tiedossa | moms okänd | VAT not known
map.from.minutes | {value} min jälkeen | efter {value} min | after {value} min
map.until.minutes | enintään {value} min | högst {value} min | up to {value} min
map.from.kwh | {value} kWh jälkeen | efter {value} kWh | after {value} kWh
map.until.kwh | enintään {value} kWh | högst {value} kWh | up to {value} kWh
map.from.kw | vähintään {value} kW | minst {value} kW | at {value} kW and more
map.until.kw | alle {value} kW | under {value} kW | below {value} kW
map.otherwise | muulloin | annars | otherwise
map.reservation | varauksesta | för bokning | for a reservation
map.day.1 | ma | mån | Mon
map.day.2 | ti | tis | Tue
map.day.3 | ke | ons | Wed
map.day.4 | to | tors | Thu
map.day.5 | pe | fre | Fri
map.day.6 | la | lör | Sat
map.day.7 | su | sön | Sun
map.zoom.in | Lähennä | Zooma in | Zoom in
map.zoom.out | Loitonna | Zooma ut | Zoom out
map.here | Näytä oma sijainti | Visa min position | Show where I am
map.here.failed | Sijaintia ei saatu. | Positionen kunde inte hämtas. | Your position could not be found.
map.attribution | Karttapohjan lähde | Kartans källa | Source of the base map
"""


def _read() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {"fi": {}, "sv": {}, "en": {}}
    for line in _TABLE.strip().splitlines():
        key, *texts = (part.strip() for part in line.split(" | "))
        for language, text in zip(found, texts, strict=True):
            found[language][key] = text
    return found


TEXTS = _read()
