"""Whatever an address looks like and wherever a page leads: nothing inside our own network is asked."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from name_server import name_server
from small_site import SmallSite, small_site

from core.errors import SourceRefused, Transient, UnreadableDocument
from ingest.connectors.reach import Reach, is_public
from ingest.connectors.web_fetch import Resolve, WebClient, connected, inflated
from ingest.connectors.web_url import AddressRefused, parse_url

PUBLIC = "93.184.215.14"
LIMIT = 100_000
TLS = ssl.create_default_context()


class Inside:
    """Something inside that nobody may reach: it counts who does, on 127.0.0.1 and ::1."""

    def __init__(self) -> None:
        self.reached = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._count)
        self._thread.start()

    def _count(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            said = connection.recv(100)
            connection.close()
            if said == b"end":
                return
            self.reached += 1

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as ending:
            ending.sendall(b"end")
        self._thread.join()
        self._listener.close()


@pytest.fixture
def inside() -> Iterator[Inside]:
    listener = Inside()
    yield listener
    listener.close()


class Internet:
    """Connections as the client makes them: those to this machine are real, all others only noted."""

    def __init__(self) -> None:
        self.tried: list[tuple[str, int]] = []

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.tried.append((address, port))
        if not ipaddress.ip_address(address).is_loopback:
            raise ConnectionRefusedError
        return connected(address, port, seconds)


def client(
    reach: Reach, internet: Internet, resolve: Resolve | None = None, *, tls: ssl.SSLContext | None = None
) -> WebClient:
    return WebClient(
        reach, "Footnote-test", tls=tls or TLS, seconds=5, resolve=resolve or _system, connect=internet.connect
    )


def _system(host: str, port: int) -> list[str]:
    """What resolvers make of a host without asking a name service: they read numbers in every old way (inet_aton)."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)]
    except OSError:
        return HOSTS.get(host.removesuffix("."), [PUBLIC])


HOSTS = {
    "localhost": ["127.0.0.1", "::1"],
    "localhost.localdomain": ["127.0.0.1"],
    "ip6-localhost": ["::1"],
    "inside.example": ["127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "intranet.example": ["10.1.2.3"],
    "two-faced.example": [PUBLIC, "127.0.0.1"],
    "two-faced-six.example": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "six-to-four.example": ["2002:7f00:1::1"],
    "teredo.example": ["2001:0:7f00:1::80ff:fffe"],
    "zone.example": ["fe80::1%lo"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "xn--bcher-kva.example": ["127.0.0.1"],
}

# P stands for the port of what is inside.
FORMS = [
    # Plain, and every other way to write the same four bytes.
    "http://127.0.0.1:P/",
    "http://127.1:P/",
    "http://127.0.1:P/",
    "http://2130706433:P/",
    "http://0x7f000001:P/",
    "http://0x7f.0x0.0x0.0x1:P/",
    "http://0x7f.1:P/",
    "http://017700000001:P/",
    "http://0177.0.0.1:P/",
    "http://0177.0.0.01:P/",
    "http://00000177.0.0.1:P/",
    "http://127.0.0.1.:P/",
    "http://127.0.0.1..:P/",
    "http://127.0.0.0x1:P/",
    "http://127.255.255.254:P/",
    "http://4294967297:P/",
    "http://383.256.0.1:P/",
    "http://0:P/",
    "http://0.0.0.0:P/",
    "http://127.0.0.1%2e:P/",
    "http://%31%32%37.0.0.1:P/",
    "http://127%2e0%2e0%2e1:P/",
    # Other scripts' digits and dots, which names turn into plain ones.
    "http://①②⑦.⓪.⓪.①:P/",
    "http://127。0。0。1:P/",
    "http://127．0．0．1:P/",
    "http://127｡0｡0｡1:P/",
    "http://１２７.０.０.１:P/",
    "http://١٢٧.٠.٠.١:P/",
    "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏:P/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:P/",
    "http://localhost:P/",
    "http://local\u00adhost:P/",
    "http://loc\u200balhost:P/",
    # IPv6, and IPv4 within it.
    "http://[::1]:P/",
    "http://[0:0:0:0:0:0:0:1]:P/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]:P/",
    "http://[::]:P/",
    "http://[::127.0.0.1]:P/",
    "http://[::ffff:127.0.0.1]:P/",
    "http://[::ffff:7f00:1]:P/",
    "http://[::ffff:0:127.0.0.1]:P/",
    "http://[64:ff9b::127.0.0.1]:P/",
    "http://[64:ff9b:1::127.0.0.1]:P/",
    "http://[2002:7f00:1::]:P/",
    "http://[2001:0:0:0:0:0:80ff:fffe]:P/",
    "http://[2a00:1450::5efe:7f00:1]:P/",
    "http://[fe80::1%25lo]:P/",
    "http://[fe80::1%lo]:P/",
    "http://[fc00::1]:P/",
    "http://[fec0::1]:P/",
    "http://[ff02::1]:P/",
    "http://[fd00:ec2::254]:P/",
    "http://[2001:db8::1]:P/",
    "http://[v1.127.0.0.1]:P/",
    "http://[127.0.0.1]:P/",
    "http://[::1:P/",
    "http://::1:P/",
    # Users, passwords and everything that one parser takes for them and another for the host.
    "http://example.com@127.0.0.1:P/",
    "http://127.0.0.1:P@example.com/",
    "http://example.com:80@127.0.0.1:P/",
    "http://example.com%40127.0.0.1:P/",
    "http://user:secret@inside.example:P/",
    "http://@127.0.0.1:P/",
    "http://example.com#@127.0.0.1:P@127.0.0.1:P/",
    "http://example.com\\@127.0.0.1:P/",
    "http://127.0.0.1:P\\@example.com/",
    "http:\\\\127.0.0.1:P\\",
    "http:/127.0.0.1:P/",
    "http:127.0.0.1:P/",
    "http:///127.0.0.1:P/",
    "//127.0.0.1:P/",
    "http://127.0.0.1:P?@example.com/",
    "http://127.0.0.1:P#.example.com/",
    "http://127.0.0.1:P;example.com/",
    "http://127.0.0.1,example.com:P/",
    "http://127.0.0.1 :P/",
    " http://127.0.0.1:P/",
    "http://127.0.0.1\t:P/",
    "ht\ntp://127.0.0.1:P/",
    "http://127.0.0.1:P/\r\nHost: example.com\r\n\r\n",
    "http://127.0.0.1\r\n:P/",
    "http://127.0.0.1\x00.example.com:P/",
    "http://127.0.0.1%00.example.com:P/",
    "http://127.0.0.1%0d%0a:P/",
    "http://127.0.0.1:+P/",
    "http://127.0.0.1:P:80/",
    "http://127.0.0.1:0P/",
    "http://127.0.0.1:１２３４/",
    # Names.
    "http://LOCALHOST:P/",
    "http://localhost.:P/",
    "http://localhost.localdomain:P/",
    "http://ip6-localhost:P/",
    "http://inside.example:P/",
    "http://INSIDE.example.:P/",
    "http://127.0.0.1.nip.example:P/",
    "http://bücher.example:P/",
    "http://two-faced.example:P/",
    "http://two-faced-six.example:P/",
    "http://mapped.example:P/",
    "http://nat64.example:P/",
    "http://six-to-four.example:P/",
    "http://teredo.example:P/",
    "http://zone.example:P/",
    "http://metadata.example:P/",
    "http://intranet.example:P/",
    # Networks that are not public, and clouds' own.
    "http://10.0.0.1:P/",
    "http://172.16.0.1:P/",
    "http://192.168.0.1:P/",
    "http://100.64.0.1:P/",
    "http://169.254.169.254:P/latest/meta-data/",
    "http://100.100.100.200:P/",
    "http://168.63.129.16:P/",
    "http://192.0.0.192:P/",
    "http://198.18.0.1:P/",
    "http://192.0.2.1:P/",
    "http://224.0.0.1:P/",
    "http://240.0.0.1:P/",
    "http://255.255.255.255:P/",
    # Other schemes.
    "https://127.0.0.1:P/",
    "file:///etc/passwd",
    "ftp://127.0.0.1:P/",
    "gopher://127.0.0.1:P/_GET",
    "dict://127.0.0.1:P/",
    "ws://127.0.0.1:P/",
    "jar:http://127.0.0.1:P/!/",
    "data:text/html,hello",
    "javascript:alert(1)",
    "unix:///run/docker.sock",
    "",
]


def test_the_table_of_forms_is_as_long_as_it_claims() -> None:
    assert len(FORMS) == len(set(FORMS)) >= 60


@pytest.mark.parametrize("form", FORMS, ids=ascii)
def test_no_form_of_an_address_reaches_what_is_inside(inside: Inside, form: str) -> None:
    internet = Internet()
    reach = Reach(ports=frozenset((80, 443, inside.port)))  # the port alone would stop most of them
    with pytest.raises((SourceRefused, Transient)):
        client(reach, internet).get(parse_url(form.replace("P", str(inside.port))), LIMIT)
    # One of the forms is a public host's, with something odd in its fragment.
    assert {address for address, _ in internet.tried} <= {PUBLIC}
    assert inside.reached == 0


@pytest.mark.parametrize("form", [form for form in FORMS if form], ids=ascii)
def test_no_redirect_and_no_link_reaches_what_is_inside(inside: Inside, form: str) -> None:
    internet = Internet()
    target = form.replace("P", str(inside.port))
    location = "".join(char for char in target if char not in "\r\n\x00").encode().decode("latin-1")
    with small_site(lambda *_: (302, {"Location": location}, b"")) as site:
        reach = Reach(frozenset((f"127.0.0.1:{site.port}",)), ports=frozenset((80, 443, inside.port)))
        # What is relative to the page stays on its host, in a loop; what is cut short by the header's syntax leads out.
        with pytest.raises((SourceRefused, UnreadableDocument, Transient)):
            client(reach, internet).get(parse_url(site.url), LIMIT)
        assert {address for address in internet.tried if address[0] != PUBLIC} == {("127.0.0.1", site.port)}
    assert inside.reached == 0


def test_the_listener_inside_does_count_whom_we_let_in(inside: Inside) -> None:
    reach = Reach(frozenset((f"127.0.0.1:{inside.port}",)))
    with pytest.raises(Transient):
        client(reach, Internet()).get(parse_url(f"http://127.0.0.1:{inside.port}/"), LIMIT)
    assert inside.reached == 1


def test_a_name_service_that_changes_its_mind_leads_nowhere_inside(inside: Inside) -> None:
    """Rebinding: the answer that is checked is public, the next is ours."""
    internet = Internet()
    reach = Reach(ports=frozenset((inside.port,)))
    answers = {
        "rebind.example": [[PUBLIC], ["127.0.0.1"]],
        "both.example": [[PUBLIC, "127.0.0.1"]],
        "late.example": [[PUBLIC], [PUBLIC], ["127.0.0.1"]],
    }
    with name_server(answers) as names:
        asking = client(reach, internet, names.resolve)
        outcomes = []
        for host in ("rebind.example", "rebind.example", "both.example", *["late.example"] * 3):
            with pytest.raises((Transient, AddressRefused)) as outcome:
                asking.get(parse_url(f"http://{host}:{inside.port}/"), LIMIT)
            outcomes.append(outcome.type)

    assert outcomes == [Transient, AddressRefused, AddressRefused, Transient, Transient, AddressRefused]
    assert internet.tried == [(PUBLIC, inside.port)] * 3, (
        "one question a request, and the connection goes to its answer"
    )
    assert len(names.asked) == 6
    assert inside.reached == 0


def test_each_redirect_is_resolved_and_judged_anew(inside: Inside) -> None:
    """A page that is let in sends us to itself; by then its name leads elsewhere inside."""
    internet = Internet()
    with small_site(lambda *_: (302, {"Location": f"http://site.example:{inside.port}/"}, b"")) as site:
        answers = {"site.example": [["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1"]]}
        reach = Reach(frozenset((f"site.example:{site.port}",)), ports=frozenset((inside.port,)))
        with name_server(answers) as names, pytest.raises(AddressRefused):
            client(reach, internet, names.resolve).get(parse_url(f"http://site.example:{site.port}/"), LIMIT)
    assert internet.tried == [("127.0.0.1", site.port)]
    assert inside.reached == 0


@given(st.integers(0, 2**32 - 1))
def test_no_address_that_python_knows_as_special_counts_as_public(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if is_public(address):
        assert address.is_global and not address.is_multicast and not address.is_reserved
        assert is_public(ipaddress.IPv6Address(f"::ffff:{address}"))
    else:
        assert not is_public(ipaddress.IPv6Address(f"::ffff:{address}"))
        assert not is_public(ipaddress.IPv6Address(f"64:ff9b::{address}"))


@given(st.integers(0, 2**128 - 1) | st.integers(0x2000 << 112, (0x4000 << 112) - 1))
def test_no_special_address_of_ipv6_counts_as_public(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    carries = address.ipv4_mapped or address in ip_network("64:ff9b::/96")
    if is_public(address) and not carries:
        assert address.is_global and not address.is_multicast
        assert address.sixtofour is None and address.teredo is None


def test_usual_public_addresses_are_public() -> None:
    usual = (PUBLIC, "8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001:80b::200e", "64:ff9b::808:808")
    assert all(is_public(ip_address(one)) for one in usual)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("HTTP://Example.COM:80/a/../b/./c?x=%7e%2f#part", "http://example.com/b/c?x=~%2F"),
        ("https://bücher.example/Straße?ü=1", "https://xn--bcher-kva.example/Stra%C3%9Fe?%C3%BC=1"),
        ("https://example.com.", "https://example.com/"),
        ("http://[2606:4700:0::1111]:8080/x", "http://[2606:4700::1111]:8080/x"),
        ("http://example.com/../../etc/passwd", "http://example.com/etc/passwd"),
        ("http://example.com/a/..", "http://example.com/"),
    ],
)
def test_an_address_has_one_form(written: str, kept: str) -> None:
    assert str(parse_url(written)) == kept
    assert parse_url(kept) == parse_url(written)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "1.2.3.4.5", "256.1.1.1", "x.0x"])
def test_a_number_that_is_no_plain_address_is_not_even_resolved(host: str) -> None:
    with pytest.raises(AddressRefused, match="four decimal numbers"):
        parse_url(f"http://{host}/")


def test_a_password_in_an_address_is_neither_sent_nor_told() -> None:
    with pytest.raises(AddressRefused, match="passwords") as refused:
        parse_url("https://ana:hush@wiki.example/")
    assert "hush" not in str(refused.value)


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_read_is_read_the_same_again(host: str, path: str) -> None:
    try:
        url = parse_url(f"http://{host}/{path}")
    except AddressRefused:
        return
    assert parse_url(str(url)) == url
    assert str(url).isascii() and str(url).isprintable() and " " not in str(url)


# What is let in by name.


def test_what_the_operator_names_is_asked_and_exactly_that() -> None:
    with small_site(lambda *_: (200, {}, b"hello")) as site, small_site(lambda *_: (200, {}, b"secret")) as other:
        reach = Reach(frozenset((f"127.0.0.1:{site.port}",)))
        assert client(reach, Internet()).get(parse_url(site.url), LIMIT).body == b"hello"
        for refused in (other.url, f"http://localhost:{site.port}/", f"http://127.0.0.2:{site.port}/"):
            with pytest.raises(AddressRefused):
                client(reach, Internet()).get(parse_url(refused), LIMIT)
        by_network = Reach(networks=(ip_network("127.0.0.1/32"),), ports=frozenset((site.port,)))
        assert client(by_network, Internet()).get(parse_url(site.url), LIMIT).body == b"hello"
        with pytest.raises(AddressRefused):
            client(by_network, Internet()).get(parse_url(other.url), LIMIT)
    assert not other.asked


def test_a_name_that_is_let_in_still_never_leads_to_the_clouds_own_address() -> None:
    reach = Reach(frozenset(("wiki.example",)), (ip_network("0.0.0.0/0"), ip_network("::/0")))
    for address in ("169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1", "::ffff:169.254.169.254", "fe80::1"):
        with pytest.raises(AddressRefused):
            client(reach, Internet(), lambda *_, found=address: [found]).get(parse_url("http://wiki.example/"), LIMIT)


def test_ports_beyond_the_webs_own_are_asked_only_where_they_are_named() -> None:
    internet = Internet()
    for port in (22, 25, 6379, 8080):
        with pytest.raises(AddressRefused):
            client(Reach(), internet, lambda *_: [PUBLIC]).get(parse_url(f"http://public.example:{port}/"), LIMIT)
    assert not internet.tried
    with pytest.raises(Transient):
        asking = client(Reach(ports=frozenset((8080,))), internet, lambda *_: [PUBLIC])
        asking.get(parse_url("http://public.example:8080/"), LIMIT)
    assert internet.tried == [(PUBLIC, 8080)]


# How a request is made.


@pytest.fixture
def reach_all() -> Reach:
    return Reach(networks=(ip_network("127.0.0.1/32"),), ports=frozenset(range(1, 65_536)))


def get(site: SmallSite, reach: Reach, path: str = "/", limit: int = LIMIT, seconds: float = 5.0):  # type: ignore[no-untyped-def]
    return WebClient(reach, "Footnote-test", seconds=seconds).get(parse_url(site.url + path), limit)


def test_a_request_names_its_host_and_carries_neither_cookies_nor_credentials(
    reach_all: Reach, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hush\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with small_site(lambda *_: (200, {"Set-Cookie": "session=1"}, b"x")) as site:
            asking = WebClient(reach_all, "Footnote-test")
            for _ in range(2):
                assert asking.get(parse_url(site.url), LIMIT).body == b"x"
    headers = site.asked[1][2]
    assert headers["host"] == f"127.0.0.1:{site.port}"
    assert headers["user-agent"] == "Footnote-test"
    assert not {"cookie", "authorization", "proxy-authorization"} & headers.keys()


def test_redirects_are_followed_five_times_and_a_loop_ends(reach_all: Reach) -> None:
    def steps(_: str, path: str, __: object) -> tuple[int, dict[str, str], bytes]:
        left = int(path[1:])
        return (302, {"Location": f"/{left - 1}"}, b"") if left else (200, {}, b"there")

    with small_site(steps) as site:
        arrived = get(site, reach_all, "/5")
        assert (arrived.body, arrived.url.path) == (b"there", "/0")
        with pytest.raises(UnreadableDocument):
            get(site, reach_all, "/6")
    with small_site(lambda *_: (301, {"Location": "/"}, b"")) as site, pytest.raises(UnreadableDocument):
        get(site, reach_all)
    assert len(site.asked) == 6


def test_a_body_is_bounded_as_it_is_sent_and_as_it_is_inflated(reach_all: Reach) -> None:
    big, bomb = b"x" * (LIMIT + 1), gzip.compress(bytes(50 * 1024 * 1024), 9)
    assert len(bomb) < LIMIT
    twice = gzip.compress(gzip.compress(bytes(10_000_000)))
    chunked = b"".join(b"%x\r\n%s\r\n" % (1000, b"y" * 1000) for _ in range(200)) + b"0\r\n\r\n"
    answers = {
        "/declared": ({}, big),
        "/bomb": ({"Content-Encoding": "gzip"}, bomb),
        "/lies": ({"Content-Encoding": "gzip"}, gzip.compress(b"a" * (LIMIT + 1))),
        "/members": ({"Content-Encoding": "gzip"}, gzip.compress(b"b" * 1000) * 200),
        "/chunked": ({"Transfer-Encoding": "chunked"}, chunked),
        "/empty-members": ({"Content-Encoding": "gzip"}, gzip.compress(b"") * 6000),
    }
    with small_site(lambda _, path, __: (200, *answers[path])) as site:
        for path in answers:
            with pytest.raises(UnreadableDocument) as refused:
                get(site, reach_all, path)
            assert refused.value.verdict == "too_large", path
    layered = {"Content-Encoding": "gzip, gzip"}
    with small_site(lambda *_: (200, layered, twice)) as site, pytest.raises(UnreadableDocument) as refused:
        get(site, reach_all)
    assert refused.value.verdict == "unsupported"


def test_what_is_compressed_comes_out_whole(reach_all: Reach) -> None:
    text = b"annual report " * 100
    halves = gzip.compress(text[:700]) + gzip.compress(text[700:])
    with small_site(lambda *_: (200, {"Content-Encoding": "gzip"}, halves)) as site:
        assert get(site, reach_all, limit=len(text)).body == text
    assert inflated([halves[at : at + 7] for at in range(0, len(halves), 7)], len(text)) == text
    with pytest.raises(Transient):
        inflated([halves[:-20]], LIMIT)
    with pytest.raises(UnreadableDocument):
        inflated([zlib.compress(b"no gzip")], LIMIT)


def test_an_answer_that_breaks_off_is_no_answer(reach_all: Reach) -> None:
    half = {"Content-Length": "100", "Connection": "close"}
    for answer in ((200, half, b"half"), None):
        with small_site(lambda *_, answer=answer: answer) as site, pytest.raises(Transient):
            get(site, reach_all)


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 100 Go\r\n\r\n"]
)
def test_one_byte_at_a_time_is_too_slow(reach_all: Reach, said: bytes) -> None:
    """Each byte comes in time for a wait of its own; the request as a whole does not."""
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(said)
            while not stop.wait(0.02):
                try:
                    connection.sendall(b"HTTP/1.1 100 Go\r\n\r\n" if said.endswith(b"Go\r\n\r\n") else b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        began = time.monotonic()
        with pytest.raises(Transient):
            WebClient(reach_all, "t", seconds=0.3).get(
                parse_url(f"http://127.0.0.1:{listener.getsockname()[1]}/"), LIMIT
            )
        assert time.monotonic() - began < 30
        stop.set()
        thread.join()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for a name that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now, tomorrow = datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC) + timedelta(days=1)
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now, tomorrow)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, private


def test_the_pinned_connection_names_its_host_to_tls_and_checks_its_certificate(tmp_path: Path) -> None:
    chain, private = certificate(tmp_path, "wiki.example")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(chain, private)
    asked_for: list[str | None] = []
    served.sni_callback = lambda _, name, __: asked_for.append(name)

    def serve(listener: socket.socket) -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                try:
                    with served.wrap_socket(connection, server_side=True) as line:
                        line.recv(10_000)
                        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe")
                except (ssl.SSLError, OSError):
                    pass

    trusting = ssl.create_default_context(cafile=str(chain))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        reach = Reach(frozenset((f"wiki.example:{port}", f"other.example:{port}")))
        asking = client(reach, Internet(), lambda *_: ["127.0.0.1"], tls=trusting)
        assert asking.get(parse_url(f"https://wiki.example:{port}/"), LIMIT).body == b"safe"
        with pytest.raises(Transient):
            asking.get(parse_url(f"https://other.example:{port}/"), LIMIT)
        thread.join()
    assert asked_for == ["wiki.example", "other.example"]
