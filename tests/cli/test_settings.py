"""Settings that cannot be used are refused before anything starts, by the name of their variable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from ocpi_nap.cli.context import load_settings
from ocpi_nap.cli.errors import CliError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_URL", "nap.example"), ("PUBLIC_URL", ""), ("SOURCE_URL", "here"), ("COUNTRY_CODE", "FIN"), ("PARTY_ID", "N-P"),
        ("MQTT_URL", "broker:1883"), ("MQTT_URL", "mqtt://broker:port"), ("MQTT_QOS", "2"), ("PUBLISH_ENVIRONMENTS", "prodution"),
        ("OIDC_ROLES", "boss=chief"), ("OIDC_ROLES", "admin"), ("LOG_LEVEL", "loud"), ("MAP_TILES", "https://tiles.example/"),
        ("TRUSTED_PROXIES", "10.0.0.0/64"), ("DEPRECATED_PATHS", "/locations=soon"), ("SNAPSHOT_SECONDS", "0"),
        ("TEXT_LANGUAGE", "Finnish"),
    ],
)  # fmt: skip
def test_a_wrong_value(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"OCPI_NAP_{name}", value)
    with pytest.raises(CliError) as refused:
        load_settings()
    assert refused.value.sentence.startswith(f"OCPI_NAP_{name} is not valid: ") and refused.value.sentence.endswith(".")


def test_values_in_another_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    spelled = {"PUBLIC_URL": "https://nap.example/", "COUNTRY_CODE": "se", "LOG_LEVEL": "debug", "OIDC_ROLES": "admin=a, admin=b"}
    for name, value in spelled.items():
        monkeypatch.setenv(f"OCPI_NAP_{name}", value)
    settings = load_settings()
    assert (settings.versions_url, settings.country_code, settings.log_level) == ("https://nap.example/ocpi/versions", "SE", "DEBUG")
    assert settings.claims_by_role == {"admin": {"a", "b"}}


def command(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OCPI_NAP_DATA_DIR": str(folder), **{f"OCPI_NAP_{name}": value for name, value in settings.items()}}
    return subprocess.run([sys.executable, "-m", "ocpi_nap", *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [("serve", "--port", "0"), ("platform", "list")])
def test_what_cannot_be_opened(tmp_path: Path, dsn: str, arguments: tuple[str, ...]) -> None:
    """A sentence that says why, no traceback: a database that does not answer, one of a newer release, and a key that is none."""
    with psycopg.connect(dsn) as conn:
        conn.execute("INSERT INTO schema_migration (name) VALUES ('9999_later')")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "token.key").write_text("not a key")
    for folder, url, sentence in (
        ("a", "postgresql://127.0.0.1:9/none", "The database could not be opened: "),
        ("b", dsn, "the database is of a newer release: it has the migration 9999_later."),
        ("broken", dsn, "The key of the stored tokens cannot be used: "),
    ):
        done = command(tmp_path / folder, *arguments, DATABASE_URL=url)
        assert done.returncode == 1 and done.stderr.startswith(sentence) and "Traceback" not in done.stderr, done.stderr
