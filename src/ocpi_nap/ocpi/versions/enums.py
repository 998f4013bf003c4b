"""The enumerations of all versions (objects.md section 4). `OPEN_FROM_230`: OpenEnums, where any value is legal (R41)."""

from __future__ import annotations

STATUS = frozenset(["AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER", "PLANNED", "REMOVED", "RESERVED", "UNKNOWN"])
CAPABILITY = frozenset(
    [
        "CHARGING_PROFILE_CAPABLE",
        "CREDIT_CARD_PAYABLE",
        "REMOTE_START_STOP_CAPABLE",
        "RESERVABLE",
        "RFID_READER",
        "UNLOCK_CAPABLE",
        "CHARGING_PREFERENCES_CAPABLE",
        "CHIP_CARD_SUPPORT",
        "CONTACTLESS_CARD_SUPPORT",
        "DEBIT_CARD_PAYABLE",
        "PED_TERMINAL",
        "TOKEN_GROUP_CAPABLE",
        "START_SESSION_CONNECTOR_REQUIRED",
    ]
)
CONNECTOR_TYPE = frozenset(
    [
        "CHADEMO",
        "CHAOJI",
        "DOMESTIC_A",
        "DOMESTIC_B",
        "DOMESTIC_C",
        "DOMESTIC_D",
        "DOMESTIC_E",
        "DOMESTIC_F",
        "DOMESTIC_G",
        "DOMESTIC_H",
        "DOMESTIC_I",
        "DOMESTIC_J",
        "DOMESTIC_K",
        "DOMESTIC_L",
        "DOMESTIC_M",
        "DOMESTIC_N",
        "DOMESTIC_O",
        "GBT_AC",
        "GBT_DC",
        "IEC_60309_2_single_16",
        "IEC_60309_2_three_16",
        "IEC_60309_2_three_32",
        "IEC_60309_2_three_64",
        "IEC_62196_T1",
        "IEC_62196_T1_COMBO",
        "IEC_62196_T2",
        "IEC_62196_T2_COMBO",
        "IEC_62196_T3A",
        "IEC_62196_T3C",
        "MCS",
        "NEMA_5_20",
        "NEMA_6_30",
        "NEMA_6_50",
        "NEMA_10_30",
        "NEMA_10_50",
        "NEMA_14_30",
        "NEMA_14_50",
        "PANTOGRAPH_BOTTOM_UP",
        "PANTOGRAPH_TOP_DOWN",
        "SAE_J3400",
        "TESLA_R",
        "TESLA_S",
    ]
)
CONNECTOR_FORMAT = frozenset(("SOCKET", "CABLE"))
POWER_TYPE = frozenset(["AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC"])
PARKING_TYPE = frozenset(["ALONG_MOTORWAY", "PARKING_GARAGE", "PARKING_LOT", "ON_DRIVEWAY", "ON_STREET", "UNDERGROUND_GARAGE"])
LOCATION_TYPE = frozenset(["ON_STREET", "PARKING_GARAGE", "UNDERGROUND_GARAGE", "PARKING_LOT", "OTHER", "UNKNOWN"])
FACILITY = frozenset(
    [
        "HOTEL",
        "RESTAURANT",
        "CAFE",
        "MALL",
        "SUPERMARKET",
        "SPORT",
        "RECREATION_AREA",
        "NATURE",
        "MUSEUM",
        "BIKE_SHARING",
        "BUS_STOP",
        "TAXI_STAND",
        "TRAM_STOP",
        "METRO_STATION",
        "TRAIN_STATION",
        "AIRPORT",
        "PARKING_LOT",
        "CARPOOL_PARKING",
        "FUEL_STATION",
        "WIFI",
    ]
)
PARKING_RESTRICTION = frozenset(["EV_ONLY", "PLUGGED", "DISABLED", "CUSTOMERS", "MOTORCYCLES", "EMPLOYEES", "TAXIS", "TENANTS"])
IMAGE_CATEGORY = frozenset(["CHARGER", "ENTRANCE", "LOCATION", "NETWORK", "OPERATOR", "OTHER", "OWNER"])
ENERGY_SOURCE = frozenset(["NUCLEAR", "GENERAL_FOSSIL", "COAL", "GAS", "GENERAL_GREEN", "SOLAR", "WIND", "WATER"])
ENVIRONMENTAL_IMPACT = frozenset(("NUCLEAR_WASTE", "CARBON_DIOXIDE"))
CONNECTOR_CAPABILITY = frozenset(("ISO_15118_2_PLUG_AND_CHARGE", "ISO_15118_20_PLUG_AND_CHARGE"))
VEHICLE_TYPE = frozenset(
    [
        "MOTORCYCLE",
        "PERSONAL_VEHICLE",
        "PERSONAL_VEHICLE_WITH_TRAILER",
        "VAN",
        "SEMI_TRACTOR",
        "RIGID",
        "TRUCK_WITH_TRAILER",
        "BUS",
        "DISABLED",
    ]
)
PARKING_DIRECTION = frozenset(("PARALLEL", "PERPENDICULAR", "ANGLE"))
EVSE_POSITION = frozenset(("LEFT", "RIGHT", "CENTER"))
TOKEN_TYPE = frozenset(["AD_HOC_USER", "APP_USER", "EMAID", "OTHER", "RFID"])
TARIFF_TYPE = frozenset(["AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR"])
TARIFF_DIMENSION = frozenset(["ENERGY", "FLAT", "PARKING_TIME", "TIME"])
TAX_INCLUDED = frozenset(("YES", "NO", "N/A"))
DAY_OF_WEEK = frozenset(["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"])
RESERVATION = frozenset(("RESERVATION", "RESERVATION_EXPIRES"))

OPEN_FROM_230 = (
    CAPABILITY, CONNECTOR_CAPABILITY, CONNECTOR_TYPE, ENVIRONMENTAL_IMPACT, FACILITY, IMAGE_CATEGORY, PARKING_RESTRICTION,
    PARKING_TYPE, VEHICLE_TYPE, TOKEN_TYPE,
)  # fmt: skip
