"""The onboarding record of a CPO platform: what the NAP asks a CPO for, checked field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
import yaml

from ocpi_nap.model import ids, timestamps
from ocpi_nap.model.platform import Environment, Operator, Party, PlatformSettings, TokenEncoding
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.registry.outcomes import FieldsWrong, RegistryError

T = TypeVar("T")


@dataclass
class OnboardingRecord:
    """A checked record."""

    name: str
    versions_url: str
    token: str | None
    country_code: str
    party_id: str
    token_encoding: TokenEncoding = "auto"
    environment: Environment = "production"
    operators: list[Operator] = field(default_factory=list)
    settings: PlatformSettings = field(default_factory=PlatformSettings)


@dataclass
class RecordChange:
    """What shall be different in a record; what is None or empty stays."""

    versions_url: str | None = None
    token_encoding: TokenEncoding | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)
    """Added, or renamed."""
    without: list[Party] = field(default_factory=list)


def check_change(
    *, versions_url: str | None, token_encoding: str | None, settings: dict[str, Any], operators: Iterable[str], without: Iterable[str]
) -> RecordChange:
    """A change from single values; raises FieldsWrong."""
    checking = _Checking()
    encodings = (*get_args(TokenEncoding), None)
    checking.that(token_encoding in encodings, f"TOKEN_ENCODING: raw, base64 or auto is required (got {(token_encoding or '')[:20]!r})")
    parsed = checking.settings(settings)
    changed = checking.each(ids.parse_operator, operators)
    gone = checking.each(ids.parse_operator, [f"{item};x" for item in without])
    checking.end()
    given = {name: getattr(parsed, name) for name in settings}
    return RecordChange(versions_url, token_encoding, given, changed, [operator.party for operator in gone])  # type: ignore[arg-type]


class _Checking:
    """Gathers what is wrong: every field is looked at, whatever is wrong with the others."""

    def __init__(self) -> None:
        self._problems: list[str] = []

    def that(self, right: object, otherwise: str) -> None:
        if not right:
            self._problems.append(f"{otherwise}.")

    def each(self, read: Callable[[Any], T], values: Iterable[Any]) -> list[T]:
        """What could be read of some values."""
        found = []
        for value in values:
            try:
                found.append(read(value))
            except RegistryError as error:
                self._problems.append(error.message)
            except ValueError as error:
                self._problems.append(f"{error}.")
        return found

    def settings(self, values: dict[str, Any]) -> PlatformSettings:
        parsed, problems = _read_settings(values)
        self._problems += [f"{problem}." for problem in problems]
        return parsed

    def end(self) -> None:
        if self._problems:
            raise FieldsWrong(self._problems)


def check(
    *, name: str, versions_url: str, token: str | None, party_id: str, country_code: str,
    operators: Iterable[Operator | str | dict[str, Any]],
    token_encoding: str = "auto", environment: str = "production", settings: dict[str, Any] | None = None,
) -> OnboardingRecord:  # fmt: skip
    """A record from single values; raises FieldsWrong."""
    checking, items = _Checking(), list(operators)
    word = bool(name.strip()) and not any(c.isspace() or c in "/\\" for c in name)
    checking.that(word, f"NAME: one word without spaces or slashes is required (got {name[:40]!r})")
    checking.that(versions_url.strip(), "VERSIONS_URL: must not be empty")
    checking.each(lambda given: check_token(given, "CREDENTIALS_TOKEN_A"), [] if token is None else [token])
    encodings = get_args(TokenEncoding)
    checking.that(token_encoding in encodings, f"TOKEN_ENCODING: raw, base64 or auto is required (got {token_encoding[:20]!r})")
    checking.that(environment in get_args(Environment), f"ENVIRONMENT: test or production is required (got {environment[:20]!r})")
    country = checking.each(lambda given: ids.country_code(given, "PLATFORM_COUNTRY_CODE"), [country_code])
    party = checking.each(lambda given: ids.party_id(given, "PLATFORM_PARTY_ID"), [party_id])
    checked = checking.each(_operator, items)
    checking.that(items, "OPERATOR: at least one operator is required")
    checking.that(len({operator.party for operator in checked}) == len(checked), "OPERATOR: the same COUNTRY_CODE and PARTY_ID twice")
    parsed = checking.settings(settings or {})
    checking.end()
    return OnboardingRecord(
        name=name, versions_url=versions_url.strip(), token=token, country_code=country[0], party_id=party[0],
        token_encoding=token_encoding, environment=environment, operators=checked, settings=parsed,  # type: ignore[arg-type]
    )  # fmt: skip


def check_token(token: str, label: str) -> str:
    """A token that was agreed with a platform, as it is (R11); raises RegistryError."""
    if not token or len(token) > 255 or not all("\x21" <= c <= "\x7e" for c in token):
        raise RegistryError(f"{label}: 1 to 255 visible ASCII characters without spaces are required.")
    return token


def _operator(item: Operator | str | dict[str, Any]) -> Operator:
    if isinstance(item, Operator):
        return item
    if isinstance(item, str):
        return ids.parse_operator(item)
    if not isinstance(item, dict):
        raise ValueError("OPERATOR: COUNTRY_CODE, PARTY_ID, NAME and URL are required")
    lower = {str(key).lower(): value for key, value in item.items()}
    for name in ("party_id", "country_code", "name"):
        if not lower.get(name):
            raise ValueError(f"operator {name.upper()}: required")
    url = lower.get("url")
    return ids.operator(str(lower["country_code"]), str(lower["party_id"]), str(lower["name"]), str(url) if url else None)


def parse_settings(values: dict[str, Any]) -> PlatformSettings:
    """Settings from `key=value` texts or YAML values; ValueError names the first wrong key."""
    parsed, problems = _read_settings(values)
    if problems:
        raise ValueError(problems[0])
    return parsed


def _read_settings(values: dict[str, Any]) -> tuple[PlatformSettings, list[str]]:
    """The settings that could be read, and what is wrong with the others."""
    problems: list[str] = []
    known = {f.name: f.type for f in msgspec.structs.fields(PlatformSettings)}
    converted: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            problems.append(f"--set {key}: unknown; known are {', '.join(sorted(known))}")
            continue
        if isinstance(value, str) and known[key] in (list[str], dict[str, str]):
            parts = [part.strip() for part in value.split(",") if part.strip()]
            value = dict(part.partition("=")[::2] for part in parts) if known[key] == dict[str, str] else parts
        elif isinstance(value, str) and known[key] is bool:
            value = _WORDS.get(value.strip().lower(), value)
        elif value == "" and known[key] == (str | None):
            value = None
        try:
            found = msgspec.convert(value, known[key], strict=False)
        except msgspec.ValidationError as error:
            problems.append(f"--set {key}: {'a whole number is required' if known[key] is int else str(error)[:120]}")
            continue
        try:
            _check_setting(key, found)
        except ValueError as error:
            problems.append(str(error))
        else:
            converted[key] = found
    return PlatformSettings(**converted), problems


_WORDS = {"yes": True, "on": True, "no": False, "off": False}
"""What YAML means by these too."""
_AT_LEAST_ONE = {"page_size", "max_pages", "page_timeout_seconds", "crawl_minutes", "delta_interval_minutes", "full_interval_minutes"}


def _check_setting(key: str, value: Any) -> None:
    """What the type of a setting does not say."""
    if isinstance(value, int) and not isinstance(value, bool) and value < (key in _AT_LEAST_ONE):
        raise ValueError(f"--set {key}: must be at least 1" if key in _AT_LEAST_ONE else f"--set {key}: must not be negative")
    if key == "version_pin" and value is not None and value not in VERSIONS:
        raise ValueError(f"--set version_pin: one of {', '.join(VERSIONS)} is required (got {value[:20]!r})")
    if key == "naive_timezone" and not timestamps.known_zone(value):
        raise ValueError(f"--set naive_timezone: the name of a time zone is required, as in Europe/Helsinki (got {value[:40]!r})")


class _Texts(yaml.SafeLoader):
    """Reads scalars as they are written: country NO is not "no", party 001 not the number 1, and a token no date."""


_Texts.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_KEYS = {"versions_url", "credentials_token_a", "token", "token_encoding", "platform_party_id", "party_id", "platform_country_code",
         "country_code", "environment", "operators", "settings", "name"}  # fmt: skip


def read_file(path: Path) -> list[OnboardingRecord]:
    """Records of a YAML file: a list of platforms, or a mapping with `platforms`; RegistryError names file, platform and field."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Texts)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RegistryError(f"{path}: cannot be read: {str(error).splitlines()[0]}.") from None
    if isinstance(content, dict) and "platforms" in content:
        content = content["platforms"]
    if not isinstance(content, list):
        content = [content]
    records = []
    for position, item in enumerate(content):
        try:
            records.append(_record(item))
        except RegistryError as error:
            raise RegistryError(f"{path}, platform {position + 1}: {error.message}", advice=error.advice) from None
    return records


def _record(item: Any) -> OnboardingRecord:
    if not isinstance(item, dict):
        raise RegistryError("a mapping of fields is required.")
    values = {str(key).lower(): value for key, value in item.items()}
    unknown = sorted(set(values) - _KEYS)
    if unknown:
        raise RegistryError(f"{unknown[0]}: unknown field; known are {', '.join(sorted(_KEYS))}.")
    name = {"token": values.get("credentials_token_a", values.get("token")),
            "party_id": values.get("platform_party_id", values.get("party_id")),
            "country_code": values.get("platform_country_code", values.get("country_code"))}  # fmt: skip
    for key, label in (("name", "NAME"), ("versions_url", "VERSIONS_URL")):
        if not values.get(key):
            raise RegistryError(f"{label}: required.")
    for key, label in (("party_id", "PLATFORM_PARTY_ID"), ("country_code", "PLATFORM_COUNTRY_CODE")):
        if name[key] is None:
            raise RegistryError(f"{label}: required.")
    operators, settings = values.get("operators"), values.get("settings")
    return check(
        name=str(values["name"]), versions_url=str(values["versions_url"]), token=None if name["token"] is None else str(name["token"]),
        party_id=str(name["party_id"]), country_code=str(name["country_code"]),
        operators=operators if isinstance(operators, list) else [], token_encoding=str(values.get("token_encoding", "auto")),
        environment=str(values.get("environment", "production")), settings=settings if isinstance(settings, dict) else {},
    )  # fmt: skip
