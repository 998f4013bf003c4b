"""Credentials tokens on the wire (R1–R11, D1, D2, I-1 to I-5, trap 2)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi_nap.ocpi import tokens

visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)


@given(visible)
def test_both_forms_are_read_back(token: str) -> None:
    """Literal first, then decoded."""
    if token.lower() == "token":
        return
    for encoding in ("raw", "base64"):
        assert token in tokens.inbound_readings(tokens.outbound_header(token, encoding))


@given(st.binary(max_size=80))
def test_any_header_is_read_without_failing(header: bytes) -> None:
    for reading in tokens.inbound_readings(header.decode("latin-1")):
        tokens.hash_token(reading)


@pytest.mark.holds("R10", versions="all")
def test_ours_read_one_way_only() -> None:
    """R10: no Base64 text, so nobody can take it for an encoded one."""
    made = {tokens.generate() for _ in range(100)}
    assert len(made) == 100
    for token in made:
        assert tokens.inbound_readings(f"Token {token}") == [token] and 32 <= len(token) <= 64
        assert all("\x21" <= character <= "\x7e" for character in token)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Token abc.", ["abc."]), ("token   abc.", ["abc."]), ("TOKEN abc.", ["abc."]), ("abc.", ["abc."]), ("Token  ", []), ("", []),
        ("Bearer abc", []), ("Basic abc", []), ("Token ZXhhbXBsZS10b2tlbgo=", ["ZXhhbXBsZS10b2tlbgo=", "example-token"]),
        ("Token ZXhhbXBsZS10b2tlbg", ["ZXhhbXBsZS10b2tlbg", "example-token"]), (None, []), ("Token " + "x" * 2000, []),
    ],
)  # fmt: skip
def test_headers(header: str | None, expected: list[str]) -> None:
    assert tokens.inbound_readings(header) == expected


def test_base64_of_two_layers_is_not_guessed() -> None:
    """I-3: one layer only."""
    once = base64.b64encode(b"secret-1").decode()
    assert "secret-1" not in tokens.inbound_readings("Token " + base64.b64encode(once.encode()).decode())


def test_the_scheme_inside_a_token() -> None:
    assert (tokens.strip_scheme("Token abc"), tokens.strip_scheme("Tokenabc")) == ("abc", "Tokenabc")
