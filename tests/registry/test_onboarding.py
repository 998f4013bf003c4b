"""The onboarding record: wrong input gets an error that names the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ocpi_nap.registry import RegistryError, onboarding

GOOD: dict[str, Any] = {
    "name": "acme", "versions_url": "https://cpo.example/versions", "token": "abc", "party_id": "PLT", "country_code": "FI",
    "operators": ["FI*ABC;Abc;https://abc.example"],
}  # fmt: skip

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("NAME", {"name": "two words"}), ("NAME", {"name": ""}), ("VERSIONS_URL", {"versions_url": " "}),
    ("CREDENTIALS_TOKEN_A", {"token": ""}), ("CREDENTIALS_TOKEN_A", {"token": "a b"}), ("CREDENTIALS_TOKEN_A", {"token": "é"}),
    ("TOKEN_ENCODING", {"token_encoding": "rot13"}), ("ENVIRONMENT", {"environment": "staging"}),
    ("PLATFORM_PARTY_ID", {"party_id": ""}), ("PLATFORM_PARTY_ID", {"party_id": "way too long for a party"}),
    ("PLATFORM_COUNTRY_CODE", {"country_code": "FIN"}), ("PLATFORM_COUNTRY_CODE", {"country_code": "1"}),
    ("OPERATOR", {"operators": []}), ("OPERATOR", {"operators": ["FI*ABC;Abc", "fi*abc;Abc"]}), ("OPERATOR", {"operators": ["nonsense"]}),
    ("OPERATOR", {"operators": [["FI", "ABC"]]}),
    ("page_size", {"settings": {"page_size": "many"}}), ("page_size", {"settings": {"page_size": "0"}}),
    ("no_such_key", {"settings": {"no_such_key": "1"}}), ("owner_rule", {"settings": {"owner_rule": "nobody"}}),
    ("full_interval_minutes", {"settings": {"full_interval_minutes": "-5"}}), ("max_pages", {"settings": {"max_pages": "0"}}),
    ("version_pin", {"settings": {"version_pin": "2.2"}}), ("naive_timezone", {"settings": {"naive_timezone": "Finland"}}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "change"), WRONG)
def test_wrong_field_is_named(field: str, change: dict[str, Any]) -> None:
    with pytest.raises(RegistryError) as caught:
        onboarding.check(**{**GOOD, **change})
    assert field in caught.value.message


def test_what_is_kept() -> None:
    record = onboarding.check(**{**GOOD, "party_id": "plt", "settings": {"strict_patch": "true", "extra_headers": "x-api-key=1,x=2"}})
    assert (record.party_id, record.environment, record.token_encoding) == ("PLT", "production", "auto")
    assert record.settings.strict_patch and record.settings.extra_headers == {"x-api-key": "1", "x": "2"}
    assert [(o.id, o.name, o.url) for o in record.operators] == [("FI*ABC", "Abc", "https://abc.example")]


YAML = """
platforms:
  - name: acme
    versions_url: https://cpo.example/versions
    credentials_token_a: abc
    token_encoding: base64
    platform_party_id: PLT
    platform_country_code: FI
    environment: test
    operators:
      - {party_id: ABC, country_code: FI, name: Abc, url: "https://abc.example"}
      - "FI*XYZ;Xyz;https://xyz.example"
    settings: {page_size: 50}
"""


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "platforms.yaml"
    path.write_text(YAML)
    (record,) = onboarding.read_file(path)
    assert [o.id for o in record.operators] == ["FI*ABC", "FI*XYZ"]
    assert (record.token, record.environment, record.settings.page_size) == ("abc", "test", 50)
    changes = (
        ("versions_url", "versionsurl", "versionsurl"),
        ("name: acme", "x: y", "x"),
        ("platforms:", "platforms: [", "cannot be read"),
    )
    for before, after, named in changes:
        path.write_text(YAML.replace(before, after))
        with pytest.raises(RegistryError) as caught:
            onboarding.read_file(path)
        assert named in caught.value.message and "platforms.yaml" in caught.value.message


def test_a_pin_is_taken_off() -> None:
    for given, pin in (("2.1.1", "2.1.1"), ("", None), (None, None)):
        assert onboarding.parse_settings({"version_pin": given}).version_pin == pin
    assert onboarding.parse_settings({"naive_timezone": "Europe/Helsinki", "rotate_days": "0"}).naive_timezone == "Europe/Helsinki"


def test_a_file_means_what_it_says(tmp_path: Path) -> None:
    """Norway is no negation, zeros in front of a party count, and a token stays as it was written."""
    path = tmp_path / "platforms.yaml"
    path.write_text("""
- name: 007
  versions_url: https://cpo.example/versions
  credentials_token_a: 012345678
  platform_party_id: 001
  platform_country_code: NO
  operators:
    - {party_id: 001, country_code: NO, name: 24, url: ~}
    - {party_id: 1E5, country_code: FI, name: On}
  settings:
    {page_size: 50, strict_patch: yes, assume_publish: true, version_pin: null, allowed_hosts: [a.example], extra_headers: {x-key: 09}}
- name: b
  versions_url: https://cpo.example/versions
  credentials_token_a:
  platform_party_id: ABC
  platform_country_code: FI
  operators: ["FI*ABC;Abc"]
""")
    record, other = onboarding.read_file(path)
    assert (record.name, record.token, record.party_id, record.country_code) == ("007", "012345678", "001", "NO")
    assert [(o.id, o.name, o.url) for o in record.operators] == [("NO*001", "24", None), ("FI*1E5", "On", None)]
    given = record.settings
    assert (given.page_size, given.strict_patch, given.assume_publish, given.version_pin) == (50, True, True, None)
    assert (given.allowed_hosts, given.extra_headers, other.token) == (["a.example"], {"x-key": "09"}, None)
