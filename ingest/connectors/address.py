"""Addresses to which a credential may be sent."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def encrypted_address(address: str) -> str:
    """An address to which a credential may be sent: https, or this machine's own. Raises `ValueError`."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(parts.hostname or "")):
        raise ValueError("a credential is sent there: write an https address")
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("write the address alone, as https://HOST or https://HOST/PATH")
    return address.rstrip("/")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Address = Annotated[str, AfterValidator(encrypted_address)]
