"""The OpenID Connect protocol with the provider: authorization code with PKCE, ID token checked, by Authlib."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import JoseError
from starlette.requests import Request
from starlette.responses import Response

from ocpi_nap.web.context import OidcOptions


class Silent(Exception):
    """The provider does not answer, or not as OpenID Connect has it."""


class Unconfirmed(Exception):
    """The provider did not confirm who somebody is, or the answer belongs to another browser."""


@lru_cache(4)
def _client(issuer: str, client_id: str, client_secret: str, scope: str) -> Any:
    """The client; the provider's metadata and keys are fetched when they are needed, and kept."""
    oauth = OAuth()
    oauth.register(
        "provider", client_id=client_id, client_secret=client_secret or None,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": scope, "code_challenge_method": "S256", "timeout": 10},
    )  # fmt: skip
    return oauth.create_client("provider")


def _of(options: OidcOptions) -> Any:
    return _client(options.issuer, options.client_id, options.client_secret, options.scope)


async def redirect(request: Request, options: OidcOptions, callback: str) -> Response:
    """To the provider; state, nonce and code verifier are put into the request's session. Raises Silent."""
    try:
        response: Response = await _of(options).authorize_redirect(request, callback)
    except (httpx2.HTTPError, AuthlibBaseError, ValueError) as error:
        raise Silent(str(error)) from None
    return response


async def claims(request: Request, options: OidcOptions) -> dict[str, Any]:
    """The claims of the ID token that the request's code stands for. Raises Unconfirmed or Silent."""
    try:
        token = await _of(options).authorize_access_token(request)
    except (AuthlibBaseError, JoseError) as error:
        raise Unconfirmed(str(error)) from None
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        raise Silent(str(error)) from None
    return dict(token.get("userinfo") or {})
