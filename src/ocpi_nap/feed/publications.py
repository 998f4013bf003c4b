"""Every publication there is, in one list: what is rendered, made into editions and served."""

from __future__ import annotations

from typing import Any

from ocpi_nap.feed.forms import Form
from ocpi_nap.feed.render import LOCATIONS, STATUSES, TARIFFS

FORMS: tuple[Form[Any], ...] = (LOCATIONS, STATUSES, TARIFFS)
"""Forms of one path differ by encoding; a path with a form that has pages is paged, others are whole on their base path too."""
