"""The words of the public pages: one dict a language, the same keys in each (a test sees to it)."""

from __future__ import annotations

from collections.abc import Callable

from ocpi_nap.web.texts import en, fi, maps, sv

TEXTS: dict[str, dict[str, str]] = {language: own.TEXTS | maps.TEXTS[language] for language, own in (("fi", fi), ("sv", sv), ("en", en))}
LANGUAGES = {"fi": "Suomi", "sv": "Svenska", "en": "English"}
"""Codes with the names by which their speakers know them."""
_DEFAULT = "en"


def choose_language(asked: str | None, chosen: str | None, accepted: str) -> str:
    """The language asked for, chosen before, or first in an Accept-Language header; English otherwise."""
    for wish in (asked, chosen):
        if wish in TEXTS:
            return wish
    weighed = []
    for position, part in enumerate(accepted.split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((-float(weight or 1), position, tag[:2].lower()))
        except ValueError:
            continue
    return next((tag for _, _, tag in sorted(weighed) if tag in TEXTS), _DEFAULT)


def translator(language: str) -> Callable[..., str]:
    """``t("key", name=value)``: the text with its {name} replaced; KeyError for an unknown key."""
    texts = TEXTS[language]

    def text(key: str, /, **values: object) -> str:
        return texts[key].format(**values) if values else texts[key]

    return text
