"""Which addresses of the network a web page may be asked of: the public Internet, and what the operator names."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from ingest.connectors.web_url import AddressRefused, WebUrl

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, text.split()))


# The IANA IPv4 special-purpose address registry, multicast, and what clouds keep for themselves among public addresses.
_NOT_PUBLIC_V4 = _networks(
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
    "192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 "
    "203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32"
)
# Everything that is public lies here (RFC 4291, 2.4), and within it are not: protocol assignments with Teredo and
# ORCHID, documentation, 6to4, AS112 (the IANA IPv6 special-purpose address registry).
_PUBLIC_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = _networks("2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20")
# Whatever the operator names: no web site is there, and the credentials of the machine itself may be.
_NEVER = _networks(
    "0.0.0.0/8 169.254.0.0/16 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32 100.100.100.200/32 192.0.0.192/32 "
    "::/128 fe80::/10 ff00::/8 fd00:ec2::254/128 fd20:ce::254/128"
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: how networks without IPv4 see public IPv4 addresses
# The interface identifiers of ISATAP, which carry an IPv4 address (RFC 5214, 6.1).
_ISATAP = (0x00005EFE, 0x02005EFE)


@dataclass(frozen=True)
class Reach:
    """What may be asked beyond public addresses on usual ports; nothing, unless the operator has named it.

    `hosts` are names or addresses, each exactly as it stands in a page's address, alone (any of `ports`) or with
    `:PORT` (that port too); they may lie on private addresses. `networks` are those whose addresses any host may have.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset((80, 443))

    def check_port(self, url: WebUrl) -> None:
        """Raises `AddressRefused` for a port that is not asked."""
        if url.port not in self.ports and _with_port(url) not in self.hosts:
            raise AddressRefused(
                f"Port {url.port} of {url.host} is not asked. If its pages are to be read, name {_with_port(url)} in "
                "allowed_hosts, or the port in allowed_ports."
            )

    def check(self, url: WebUrl, address: Address) -> None:
        """Raises `AddressRefused` where `address`, to which the host of `url` leads, is not to be asked."""
        carried = carried_address(address)
        if not any(_within(one, network) for one in (address, carried) for network in _NEVER):
            if url.host in self.hosts or _with_port(url) in self.hosts:
                return
            if any(_within(carried, network) for network in self.networks) or is_public(address):
                return
        raise AddressRefused(
            f"{url.host} leads to an address inside a private or reserved network, and was not asked. If its pages "
            "are to be read, name it in allowed_hosts."
        )


def is_public(address: Address) -> bool:
    """Whether an address is one of the public Internet, where everybody else would reach the same host."""
    carried = carried_address(address)
    if isinstance(carried, IPv4Address):
        return not any(_within(carried, network) for network in _NOT_PUBLIC_V4)
    is_isatap = int(carried) >> 32 & 0xFFFFFFFF in _ISATAP
    return carried in _PUBLIC_V6 and not is_isatap and not any(_within(carried, network) for network in _NOT_PUBLIC_V6)


def carried_address(address: Address) -> Address:
    """The IPv4 address that an IPv6 address merely carries (v4-mapped, NAT64), else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _within(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _with_port(url: WebUrl) -> str:
    return f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}"
