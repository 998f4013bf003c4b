"""All settings of a node, from the environment (prefix ``OCPI_NAP_``). Read once, in the composition root."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ocpi_nap.feed.events.broker import address
from ocpi_nap.feed.limits import read_networks
from ocpi_nap.feed.terms import read_sunsets
from ocpi_nap.model import areas, ids
from ocpi_nap.store.accounts import ROLES
from ocpi_nap.web.map.base import BaseMap


class Settings(BaseSettings):
    """Settings of one node; every one can be left out. A value that cannot be used is refused here, before anything starts."""

    model_config = SettingsConfigDict(env_prefix="OCPI_NAP_", extra="ignore")

    public_url: str = Field("http://127.0.0.1:8000", description="Base URL under which others reach us; never derived from a request.")
    data_dir: Path = Field(Path("data"), description="Where the embedded database, the broker and the token key live.")
    database_url: str | None = Field(None, description="PostgreSQL 15+ DSN; absent: the embedded PostgreSQL.")
    mqtt_url: str | None = Field(None, description="MQTT broker, mqtt[s]://user:password@host:port; absent: the embedded NATS.")
    mqtt_host: str = Field("127.0.0.1", description="Address the embedded broker listens on.")
    mqtt_port: int = Field(1883, description="TCP port of the embedded broker; 0 takes a free one.")
    mqtt_qos: int = Field(
        0, ge=0, le=1, description="Publish with this QoS; 1 only with a broker that limits what it keeps for a session."
    )
    mqtt_retain: bool = Field(False, description="Publish messages retained.")
    mqtt_objects: bool = Field(False, description="Publish changed locations and tariffs too, as location-v1 and tariff-v1.")
    mqtt_connections_per_minute: int = Field(0, description="Connections to /mqtt that one address may open in a minute; 0 is no limit.")
    allow_private_networks: bool = Field(False, description="Accept loopback and private addresses and plain http as platform URLs.")
    party_id: str = Field("NAP", description="Our party id.")
    country_code: str = Field("FI", description="Our country code.")
    area: str = Field("", description="Where Locations should be: boxes west,south,east,north, by semicolons; empty: our country; off.")
    business_name: str = Field("National Access Point", description="Name in our business_details.")
    business_website: str = Field("", description="Website in our business_details; empty: the public URL.")
    business_logo: str = Field("", description="Logo URL in our business_details; empty: the logo we serve.")
    publish_environments: str = Field("production,test", description="Which platforms' data the public API shows.")
    strict_gzip: bool = Field(False, description="Answer 406 without gzip on /all too (contract section 0).")
    onboarding: bool = Field(True, description="Show the page on which CPOs ask to be connected.")
    map_tiles: str = Field("", description="Base map: osm, or a URL of raster tiles with {z}, {x}, {y}; empty: our outlines.")
    map_attribution: str = Field("", description="Whom the base map names as its source; empty: what fits the tiles.")
    oidc_issuer: str = Field("", description="OpenID Connect issuer for the console; empty: local accounts only.")
    oidc_client_id: str = Field("", description="Our client id at the issuer.")
    oidc_client_secret: str = Field("", description="Our secret there; empty: a public client.")
    oidc_title: str = Field("Single sign-on", description="What the button says.")
    oidc_scope: str = Field("openid profile email", description="Scopes asked for.")
    oidc_role_claim: str = Field("roles", description="Claim that gives the role; dots lead deeper.")
    oidc_roles: str = Field("viewer=viewer,operator=operator,admin=admin", description="Roles and the claim values that give them.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    max_body_bytes: int = Field(10 * 1024 * 1024, description="Largest request body (R38).")
    snapshot_seconds: int = Field(60, ge=1, description="How often whole publications are made again when something changed.")
    bulk_seconds: int = Field(300, ge=1, description="Age at which a bulk file is made again when it is asked for and something changed.")
    tariffs: Literal["all", "referenced"] = Field("all", description="Tariffs that are published: all, or those that a connector names.")
    text_language: str = Field("fi", pattern="^[a-z]{2}$", description="Language of names and addresses, which OCPI does not tell.")
    datex_schemas: Path | None = Field(None, description="Folder with the official DATEX II schemas: samples are checked against them.")
    datex_language: str = Field("en", pattern="^[a-z]{2}$", description="Language of DATEX II publications and operators' names in them.")
    change_days: int = Field(7, description="How long changes are kept: the oldest cursor that still works.")
    licence_url: str = Field("https://creativecommons.org/licenses/by/4.0/", description="Licence of the data, in each public answer.")
    source_name: str = Field("", description="Whom to name as the source; empty: the business name.")
    source_url: str = Field("", description="Address of the source; empty: the public URL.")
    rate_limit: Literal["public", "all", "off"] = Field(
        "public", description="Whose requests are limited: public leaves out loopback and private addresses."
    )
    rate_limit_anonymous: int = Field(300, description="Requests of an address in 5 minutes.")
    rate_limit_named: int = Field(3000, description="The same for requests with a Digitraffic-User header.")
    trusted_proxies: str = Field("", description="Addresses or networks of proxies whose X-Forwarded-For counts, by commas.")
    stream_listeners: int = Field(2000, description="Event streams that a worker serves at once.")
    deprecated_paths: str = Field("", description="Paths that will end, path=YYYY-MM-DD by commas: sent as Deprecation and Sunset.")

    @field_validator("public_url", "business_website", "business_logo", "oidc_issuer", "licence_url", "source_url")
    @classmethod
    def _usable_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("an absolute http(s) URL is required")
        return value

    @field_validator("public_url")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value:
            raise ValueError("must not be empty")
        return value.rstrip("/")

    @field_validator("mqtt_url")
    @classmethod
    def _usable_broker(cls, value: str | None) -> str | None:
        if value is not None:
            address(value)
        return value

    @field_validator("country_code")
    @classmethod
    def _usable_country(cls, value: str) -> str:
        return ids.country_code(value, "country code")

    @field_validator("party_id")
    @classmethod
    def _usable_party(cls, value: str) -> str:
        return ids.party_id(value, "party id")

    @field_validator("publish_environments")
    @classmethod
    def _usable_environments(cls, value: str) -> str:
        if not set(_parts(value)) <= {"test", "production"}:
            raise ValueError("test, production or both, separated by a comma, are required")
        return value

    @field_validator("oidc_roles")
    @classmethod
    def _usable_roles(cls, value: str) -> str:
        for part in _parts(value):
            role, sign, claim = part.partition("=")
            if role.strip() not in ROLES or not sign or not claim.strip():
                raise ValueError(f"role=value is required, of the roles {', '.join(ROLES)} (got {part[:40]!r})")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("map_tiles")
    @classmethod
    def _usable_map(cls, value: str) -> str:
        BaseMap.of(value, "")
        return value

    @field_validator("area")
    @classmethod
    def _usable_area(cls, value: str) -> str:
        areas.area("", value)
        return value

    @property
    def where(self) -> areas.Area | None:
        """Where Locations should be; None: anywhere."""
        return areas.area(self.country_code, self.area)

    @field_validator("trusted_proxies")
    @classmethod
    def _usable_proxies(cls, value: str) -> str:
        read_networks(value)
        return value

    @field_validator("deprecated_paths")
    @classmethod
    def _usable_sunsets(cls, value: str) -> str:
        read_sunsets(value)
        return value

    @property
    def ocpi_url(self) -> str:
        """Base of our OCPI interface, without trailing slash."""
        return self.public_url + "/ocpi"

    @property
    def environments(self) -> tuple[str, ...]:
        """Whose data is published."""
        return tuple(_parts(self.publish_environments))

    @property
    def claims_by_role(self) -> dict[str, frozenset[str]]:
        """Values of the role claim (OpenID Connect) that give each role."""
        found: dict[str, set[str]] = {}
        for part in _parts(self.oidc_roles):
            role, _, claim = part.partition("=")
            found.setdefault(role.strip(), set()).add(claim.strip())
        return {role: frozenset(claims) for role, claims in found.items()}

    @property
    def feed_dir(self) -> Path:
        """What this node renders for the public, fragments and snapshots: a cache."""
        return self.data_dir / "feed"

    @property
    def versions_url(self) -> str:
        """Our VERSIONS_URL."""
        return self.ocpi_url + "/versions"


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
