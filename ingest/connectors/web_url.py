"""The address of a web page, read once and strictly: what is checked is what is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import urljoin

import idna

from core.errors import SourceRefused

LONGEST = 2_000
"""Characters of an address; longer ones are what traps for crawlers are made of."""
PORTS = {"http": 80, "https": 443}

# RFC 3986, appendix B, for the two schemes that are asked.
_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.I)
_HOST_PORT = re.compile(r"([^:\[\]]+)(?::([0-9]{1,5}))?")
_BRACKETED = re.compile(r"\[([0-9a-fA-F:.]+)\](?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# What resolvers take for a number: "127.1", "0x7f.1" and "2130706433" are addresses to them (WHATWG URL, 4.3.1).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_OCTETS = re.compile(r"%([0-9a-fA-F]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_AS_WRITTEN = _UNRESERVED | frozenset("!$&'()*+,;=:@/?%[]")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]")


class AddressRefused(SourceRefused):
    """An address that must not be asked: it is none, or leads to where the operator has not let us."""


@dataclass(frozen=True, order=True)
class WebUrl:
    """An address in the one form that is kept, compared, checked and asked.

    `host` is a name in lower-case ASCII, without the root's dot, or an IP address without brackets; `target` is path
    and query as they are sent, and begins with a slash. Fragments are left out.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What a request names as its host: brackets around IPv6, the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def site(self) -> tuple[str, str, int]:
        """What two addresses of one site share."""
        return self.scheme, self.host, self.port

    def joined(self, reference: str) -> WebUrl:
        """What a link on this page leads to. Raises `AddressRefused`."""
        reference = reference.strip(" \t\n\r\f").replace(" ", "%20")
        try:
            return parse_url(urljoin(str(self), reference))
        except ValueError as error:
            raise _refused("it is no address") from error

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(text: str) -> WebUrl:
    """Read an absolute address of the web.

    Raises `AddressRefused` for any other scheme, for a user or password in it, and for whatever one program could
    read in another way than the next: numbers in place of an IPv4 address's four, zones, escapes in names, white
    space, control characters, backslashes.
    """
    if len(text) > LONGEST:
        raise _refused(f"it is longer than {LONGEST:,} characters")
    if _NOT_IN_URLS.search(text):
        raise _refused("white space, control characters and backslashes are no part of one")
    found = _URL.fullmatch(text)
    if found is None:
        raise _refused("only http:// and https:// are read")
    scheme, authority, path, query = found[1].lower(), found[2], found[3], found[4] or ""
    if "@" in authority:
        raise _refused("names and passwords in addresses are not sent")
    host, port = _host_and_port(authority)
    return WebUrl(scheme, host, PORTS[scheme] if port is None else port, _path(path) + escaped(query))


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if found := _BRACKETED.fullmatch(authority):
        try:
            host = str(IPv6Address(found[1]))
        except AddressValueError as error:
            raise _refused("the brackets hold no IPv6 address") from error
    elif found := _HOST_PORT.fullmatch(authority):
        host = _name(found[1])
    else:
        raise _refused("it names no host")
    port = int(found[2]) if found[2] else None
    if port is not None and not 0 < port < 65_536:
        raise _refused("its port is none")
    return host, port


def _name(host: str) -> str:
    """A host's name in ASCII; the dots and digits of every script become the plain ones (UTS 46) before they count."""
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise _refused("its host is no name of the Internet (IDNA)") from error
    labels = host.lower().removesuffix(".").split(".")
    name = ".".join(labels)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused("its host is no name of the Internet")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(name))
        except AddressValueError as error:
            raise _refused("an IPv4 address is written as four decimal numbers") from error
    return name


def _path(path: str) -> str:
    """An escaped path without its dot segments (RFC 3986, 5.2.4)."""
    segments: list[str] = []
    steps = escaped(path).split("/")[1:]
    for step in steps:
        if step == "..":
            segments[-1:] = []
        elif step != ".":
            segments.append(step)
    is_folder = bool(steps) and steps[-1] in (".", "..")
    return "/" + "/".join(segments) + ("/" if is_folder and segments else "")


def escaped(text: str) -> str:
    """One spelling of percent escapes: none where none is needed, upper-case digits elsewhere (RFC 3986, 6.2.2)."""
    ascii_text = "".join(
        char if char in _AS_WRITTEN else "".join(f"%{octet:02X}" for octet in char.encode("utf-8", "replace"))
        for char in text
    )
    return _OCTETS.sub(_octet, ascii_text)


def _octet(escape: re.Match[str]) -> str:
    char = chr(int(escape[1], 16))
    return char if char in _UNRESERVED else escape[0].upper()


def _refused(reason: str) -> AddressRefused:
    return AddressRefused(f"The address is not asked: {reason}.")
