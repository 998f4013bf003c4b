"""Every publication there is, in one list: what is rendered, made into editions and served."""

from __future__ import annotations

import logging
from typing import Any

from ocpi_nap.feed.datex2.common import DatexOptions
from ocpi_nap.feed.datex2.publications import Reject, datex_forms
from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.render import LOCATIONS, STATUSES, TARIFFS
from ocpi_nap.feed.views import LocationView, TariffView

log = logging.getLogger(__name__)


def _log_rejected(view: LocationView | TariffView, publication: str, message: str) -> None:
    log.warning("%s of %s is kept out of %s: %s", view.row.id, view.operator_id, publication, message)


def public_forms(options: DatexOptions, reject: Reject = _log_rejected) -> tuple[Form[Any], ...]:
    """All forms; ``reject`` is told of objects that would break a DATEX II publication."""
    return (LOCATIONS, STATUSES, TARIFFS, *datex_forms(options, reject))


FORMS = public_forms(DatexOptions())
"""Forms of one path differ by encoding; a path with a form that has pages is paged, others are whole on their base path too."""
