"""Ports to listen on, looked at before anything starts."""

from __future__ import annotations

import socket

from ocpi_nap.cli.errors import CliError


def check_port(host: str, port: int, advice: str = "Choose another one with --port.") -> None:
    """Raise CliError with the advice when the port cannot be listened on."""
    if not 0 <= port <= 65535:
        raise CliError(f"There is no port {port}: ports go up to 65535.", advice)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CliError(f"Port {port} on {host} cannot be used: {error.strerror}.", advice) from None


def base_url(host: str, port: int) -> str:
    """What to call on this machine to reach a service that listens there."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
