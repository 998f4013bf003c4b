"""How an ad hoc customer pays (AFIR items A20 to A23): from OCPI capabilities, and from the operator register what OCPI cannot say."""

from __future__ import annotations

from ocpi_nap.feed.datex2.common import Json, clean, kept, literal
from ocpi_nap.feed.views import EvseView, LocationView

_MEANS = {
    "CHIP_CARD_SUPPORT": ("emv",), "CREDIT_CARD_PAYABLE": ("emv", "paymentCreditCard"), "DEBIT_CARD_PAYABLE": ("emv", "paymentDebitCard"),
    "PED_TERMINAL": ("emv",), "CONTACTLESS_CARD_SUPPORT": ("nfc",),
}  # fmt: skip


def payment(evse: EvseView, view: LocationView) -> Json | None:
    """The Payment of a point; None when nothing is known."""
    means = [one for capability in evse.doc.capabilities for one in _MEANS.get(capability, ())]
    facts = view.facts
    found = kept({
        "paymentMeans": [literal(one) for one in dict.fromkeys([*means, *facts.get("payment_means", ())])],
        "brandsAccepted": [literal(one) for one in facts.get("payment_brands", ())],
        "otherBrandsAccepted": [clean(one) for one in facts.get("payment_service_providers", ())],
    })  # fmt: skip
    return found or None
