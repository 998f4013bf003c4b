"""The registry: platforms, their operators and tokens, and how they are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from ocpi_nap.model import ids
from ocpi_nap.model.areas import Area
from ocpi_nap.model.platform import CONNECTED, Operator, Party, Platform, PlatformSettings
from ocpi_nap.ocpi import net, tokens
from ocpi_nap.ocpi.client import OcpiClient, Peer
from ocpi_nap.ocpi.credentials import OwnIdentity, role_party
from ocpi_nap.ocpi.versions import VERSIONS
from ocpi_nap.registry.onboarding import OnboardingRecord, RecordChange
from ocpi_nap.registry.outcomes import ChangedMeanwhile, RegistryError
from ocpi_nap.registry.vault import Vault
from ocpi_nap.store import registry as sql
from ocpi_nap.store.crawls import read_anew
from ocpi_nap.store.database import Database


@dataclass
class Registry:
    """Everything the registry's acts share."""

    db: Database
    vault: Vault
    client: OcpiClient
    identity: OwnIdentity
    allow_private: bool = False
    area: Area | None = None
    """Where Locations should be; None: anywhere."""

    async def platform(self, name: str) -> Platform:
        """One platform by name; raises RegistryError when there is none."""
        found = await sql.load_platforms(self.db, name=name)
        if not found:
            raise RegistryError(f"There is no platform named {name!r}.", advice="`ocpi-nap platform list` shows all.")
        return found[0]

    async def platform_by_id(self, platform_id: int) -> Platform | None:
        """One platform by its id."""
        found = await sql.load_platforms(self.db, platform_id=platform_id)
        return found[0] if found else None

    async def platforms(self) -> list[Platform]:
        """All platforms by name."""
        return await sql.load_platforms(self.db)

    async def add(self, record: OnboardingRecord) -> Platform:
        """Keep an onboarding record as a platform in state ``unregistered``; raises RegistryError naming the field."""
        try:
            net.check_form(record.versions_url, allow_private=self.allow_private)
            await net.check_address(record.versions_url, allow_private=self.allow_private)
        except net.Refused as error:
            raise _refused_url(error) from None
        settings = self._sealed(msgspec.to_builtins(record.settings))
        values: dict[str, Any] = {
            "name": record.name, "environment": record.environment, "versions_url": record.versions_url,
            "country_code": record.country_code, "party_id": record.party_id, "token_encoding": record.token_encoding,
            "settings": Jsonb(settings), "outbound_a": self.vault.seal(record.token) if record.token else None,
        }  # fmt: skip
        try:
            async with self.db.transaction() as conn:
                platform_id = await sql.insert_platform(conn, values)
                await sql.insert_operators(conn, platform_id, record.environment, record.operators)
                await sql.add_event(conn, platform_id, "added", "onboarding record taken")
                await sql.visible_change(conn)
        except UniqueViolation as error:
            if "platform_name" in (error.diag.constraint_name or ""):
                raise RegistryError(f"NAME: a platform named {record.name!r} exists already.") from None
            raise RegistryError(f"OPERATOR: one of the operators comes over another {record.environment} platform already.") from None
        return await self.platform(record.name)

    async def change(self, name: str, change: RecordChange, *, version: int | None = None) -> Platform:
        """Change what the onboarding record says, without a new registration (R4); raises RegistryError naming the field.

        ``version`` is the record's version that the change rests on: ChangedMeanwhile is raised when it is no longer that.
        """
        platform = await self.platform(name)
        values: dict[str, Any] = {
            "settings": msgspec.to_builtins(platform.settings) | self._sealed(msgspec.to_builtins(change.settings))
        }  # fmt: skip
        if change.token_encoding is not None:
            values |= {"token_encoding": change.token_encoding, "learnt_encoding": None}
        if change.versions_url is not None:
            try:
                net.check_form(change.versions_url, allow_private=self.allow_private)
                await net.check_address(change.versions_url, allow_private=self.allow_private)
            except net.Refused as error:
                raise _refused_url(error) from None
            values["versions_url"] = change.versions_url
        try:
            async with self.db.transaction() as conn:
                if not await sql.next_version(conn, platform.id, version):
                    raise ChangedMeanwhile(f"Somebody else changed {name} meanwhile.", advice="Look at it again, then change it.")
                await sql.update_platform(conn, platform.id, values)
                if any(change.settings.get(name, before) != before for name, before in _how_objects_are_read(platform.settings)):
                    await read_anew(conn, platform.id)
                await sql.remove_operators(conn, platform.id, change.without)
                await sql.put_operators(conn, platform.id, platform.environment, change.operators)
                await sql.add_event(conn, platform.id, "changed", "onboarding record changed")
                await sql.visible_change(conn)
        except UniqueViolation:
            raise RegistryError(f"OPERATOR: one of the operators comes over another {platform.environment} platform already.") from None
        return await self.platform(name)

    async def set_paused(self, name: str, paused: bool) -> Platform:
        """Stop or resume the pulls of a platform; pushes are taken all the same."""
        platform = await self.platform(name)
        async with self.db.transaction() as conn:
            await sql.update_platform(conn, platform.id, {"paused": paused})
            await sql.add_event(conn, platform.id, "paused" if paused else "resumed", "by the operator")
        return await self.platform(name)

    async def remove(self, name: str) -> None:
        """Forget a platform and everything that came over it."""
        platform = await self.platform(name)
        async with self.db.transaction() as conn:
            await sql.erase_platform(conn, platform.id)
            await sql.visible_change(conn)

    async def issue_token(self, name: str) -> str:
        """A token A for a registration that the CPO starts; an earlier unused one ends (R87)."""
        platform = await self.platform(name)
        if platform.state in CONNECTED:
            raise RegistryError(f"{name} is registered.", advice="`ocpi-nap platform unregister` first.")
        token = tokens.generate()
        async with self.db.transaction() as conn:
            await conn.execute("DELETE FROM token WHERE platform_id = %s AND kind = 'A'", (platform.id,))
            await sql.add_token(conn, platform.id, "A", "issued", tokens.hash_token(token))
            await sql.add_event(conn, platform.id, "token issued", "a token A for a registration by the CPO")
        return token

    async def outbound(self, platform: Platform, kind: Literal["a", "c"]) -> str | None:
        """The token A or C that we send to a platform."""
        row = await self.db.fetch_one(f"SELECT outbound_{kind} FROM platform WHERE id = %s", (platform.id,))
        return self._unsealed(row[0]) if row and row[0] is not None else None

    def _unsealed(self, sealed: bytes) -> str:
        try:
            return self.vault.unseal(sealed)
        except ValueError as error:
            message = str(error)
            raise RegistryError(f"{message[0].upper()}{message[1:]}.", advice="Bring that file back from the backup; without it every "
                                "platform must be registered anew.") from None  # fmt: skip

    def _sealed(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings as they are stored: the values of further headers are secrets as tokens are (R12, I-8)."""
        given = settings.get("extra_headers")
        if not given:
            return settings
        return settings | {"extra_headers": {name: self.vault.seal(value).decode() for name, value in given.items()}}

    def encodings(self, platform: Platform) -> list[str | None]:
        """The forms of the token to try (D1): what worked, what was agreed, what the version says – the newest, if none is known."""
        if platform.token_encoding != "auto" and not platform.settings.token_encoding_fallback:
            return [platform.token_encoding]
        version = VERSIONS.get(platform.version or platform.settings.version_pin or "", next(iter(VERSIONS.values())))
        first = platform.learnt_encoding or (platform.token_encoding if platform.token_encoding != "auto" else version.token_encoding)
        return [first, "base64" if first == "raw" else "raw"]

    def peer(self, platform: Platform, token: str, *, party: Party | None = None, timeout: float | None = None) -> Peer:
        """How to call a platform; ``party`` addresses one of its operators (R19)."""
        hosts = {net.host_of(platform.versions_url), *platform.settings.allowed_hosts}
        hosts |= {net.host_of(url) for url in platform.endpoints.values()}
        encoding = platform.learnt_encoding or self.encodings(platform)[0]
        return Peer(
            token=token, encoding=encoding, own_party=(self.identity.country_code, self.identity.party_id),
            peer_party=party or platform.party, version=platform.version, hosts=frozenset(hosts),
            extra_headers={name: self._unsealed(value.encode()) for name, value in platform.settings.extra_headers.items()},
            private=self.allow_private, timeout=timeout or platform.settings.page_timeout_seconds,
        )  # fmt: skip

    async def connected_peer(self, platform: Platform) -> Peer:
        """How to call a registered platform; raises RegistryError when it is not."""
        token = await self.outbound(platform, "c")
        if token is None or platform.state not in CONNECTED:
            raise RegistryError(f"{platform.name} is not registered (state {platform.state}).",
                                advice=f"`ocpi-nap platform register {platform.name}` first.")  # fmt: skip
        return self.peer(platform, token)


def _how_objects_are_read(settings: PlatformSettings) -> list[tuple[str, Any]]:
    """Settings after whose change the same object is stored otherwise."""
    return [(name, getattr(settings, name)) for name in ("assume_publish", "naive_timezone", "strict_validation")]


def _refused_url(error: net.Refused) -> RegistryError:
    return RegistryError(f"VERSIONS_URL: {error}.", advice="OCPI_NAP_ALLOW_PRIVATE_NETWORKS=1 allows it for tests.")


def announced_operators(platform: Platform, roles: list[dict[str, Any]]) -> list[Operator]:
    """Parties of their CPO roles that the record does not name (D4)."""
    found = []
    for role in roles:
        details = role.get("business_details")
        details = details if isinstance(details, dict) else {}
        country, party = role_party(role)
        if str(role.get("role", "CPO")).upper() != "CPO" or not ids.is_party(country, party) or (country, party) in platform.parties:
            continue
        name = str(details.get("name") or f"{country}*{party}")
        website = details.get("website")
        found.append(Operator(country_code=country, party_id=party, name=name, url=website if isinstance(website, str) else None,
                              details=details or None, source="announced"))  # fmt: skip
    return found


def with_details(operator: Operator, roles: list[dict[str, Any]]) -> Operator:
    """The operator with the logo that its role announces; name and URL stay those of the onboarding record."""
    for role in roles:
        details = role.get("business_details")
        if role_party(role) == operator.party and isinstance(details, dict) and isinstance(details.get("logo"), dict):
            website = operator.url or details.get("website")
            shown = {"name": operator.name, **({"website": website} if website else {}), "logo": details["logo"]}
            return msgspec.structs.replace(operator, details=shown)
    return operator
