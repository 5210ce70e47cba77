"""A web site read as its owner lets it be read: by sitemap and links, within its bounds, and never for ever."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from email.message import Message
from html import escape

import pytest
from conformance import ConnectorContract, listing, synced
from small_site import Answer, Handler, SmallSite, small_site

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors import web_listing
from ingest.connectors.api import Patience
from ingest.connectors.protocol import Connector, Listed
from ingest.connectors.robots import directives, matches, read_robots
from ingest.connectors.web import Web, open_web
from ingest.connectors.web_settings import WebSettings

LIMIT = 300_000
HTML = {"Content-Type": "text/html; charset=utf-8"}


def page(*links: str, text: str = "words", head: str = "") -> Answer:
    body = "".join(f'<p><a href="{escape(link)}">go</a></p>' for link in links)
    return 200, HTML, f"<!doctype html><html><head>{head}</head><body><p>{text}</p>{body}</body></html>".encode()


MISSING: Answer = (404, {}, b"")


class Handbook:
    """A handbook on a web server: a page of contents that is not to be indexed, and the pages that it links to."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.slept: list[float] = []
        self.busy: list[float] = []
        self.is_down = False
        self.server: SmallSite | None = None

    def answer(self, method: str, path: str, headers: Message) -> Answer | None:
        if self.is_down:
            return 503, {}, b""
        if self.busy:
            return 429, {"Retry-After": f"{self.busy.pop():g}"}, b""
        if path == "/docs/":
            return page(*self.pages, head='<meta name="robots" content="noindex">')
        if path not in self.pages:
            return MISSING
        etag = f'"{hashlib.sha256(self.pages[path].encode()).hexdigest()}"'
        if headers.get("If-None-Match") == etag:
            return 304, {"ETag": etag}, b""
        status, said, body = page(text=self.pages[path])
        return status, {**said, "ETag": etag}, body

    def connect(self) -> Connector:
        assert self.server is not None
        return connector(self.server, Patience(sleep=self.slept.append), listed_together=3)

    def connect_unwelcome(self) -> Connector | None:
        return None

    def add(self, name: str, text: str) -> str:
        assert self.server is not None
        path = f"/docs/{name.replace(' ', '-')}"
        self.pages[path] = text
        return self.server.url + path

    def change(self, external_id: str, text: str) -> None:
        self.pages[self._path(external_id)] = text

    def rename(self, external_id: str, name: str) -> bool:
        return False

    def remove(self, external_id: str) -> None:
        del self.pages[self._path(external_id)]

    def throttle(self, times: int, seconds: float) -> bool:
        self.busy = [seconds] * times
        return True

    def waited(self) -> Sequence[float]:
        return self.slept

    def go_down(self) -> None:
        self.is_down = True

    def come_back(self) -> None:
        self.is_down = False

    def expire_cursors(self) -> bool:
        return False

    def _path(self, external_id: str) -> str:
        assert self.server is not None
        return external_id.removeprefix(self.server.url)


@pytest.fixture
def site() -> Iterator[Handbook]:
    handbook = Handbook()
    with small_site(handbook.answer) as handbook.server:
        yield handbook


class TestConformance(ConnectorContract):
    """What every source does."""


def connector(server: SmallSite, patience: Patience | None = None, folder: str = "/docs/", **settings: object) -> Web:
    """Only this server's own address is let in, by name and port."""
    given = {"delay_s": 0, "allowed_hosts": [f"127.0.0.1:{server.port}"], "url": server.url + folder} | settings
    patience = patience or Patience(attempts=2, sleep=lambda _: None)
    return open_web(WebSettings.model_validate(given), LIMIT, patience)


@contextmanager
def serving(pages: Mapping[str, Answer | Callable[[str, Message], Answer]]) -> Iterator[SmallSite]:
    def answer(_: str, path: str, headers: Message) -> Answer | None:
        found = pages.get(path, MISSING)
        return found(path, headers) if callable(found) else found

    with small_site(answer) as server:
        yield server


def found_at(server: SmallSite, folder: str = "/docs/", **settings: object) -> dict[str, Listed]:
    """What one listing finds, by path."""
    with closing(connector(server, folder=folder, **settings)) as source:
        found, _, _ = listing(source)
    return {key.removeprefix(server.url): one for key, one in found.items()}


# robots.txt


@pytest.mark.parametrize(
    ("pattern", "target", "does"),
    [
        # RFC 9309, 2.2.3 and 5.2, and the examples of Google's documentation of the `*` and `$`.
        ("/fish", "/fish.html", True),
        ("/fish", "/Fish.asp", False),
        ("/fish/", "/fish", False),
        ("/*.php", "/folder/filename.php?parameters", True),
        ("/*.php$", "/filename.php", True),
        ("/*.php$", "/filename.php?parameters", False),
        ("/fish*.php", "/fishheads/catfish.php?parameters", True),
        ("/fish*.php", "/Fish.PHP", False),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-%2A.html", True),
        ("/$", "/", True),
        ("/$", "/page", False),
        ("/*a*b$", "/ab-ab", True),
        ("/*ab*b$", "/ab", False),
        ("*/private", "/x/private/y", True),
    ],
)
def test_patterns_match_as_the_rfc_says(pattern: str, target: str, does: bool) -> None:
    assert matches(pattern, target) is does


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not matches("*a" * 5_000 + "$", "/" + "a" * 4_999 + "b")


def test_the_longest_rule_decides_and_of_two_alike_the_one_that_allows() -> None:
    text = (
        "\ufeffUser-agent: other\nDisallow: /\n\n# ours\nUser-Agent: x\nuser-agent: FOOTNOTE/1.0\nDisallow: /private\n"
        "Allow: /private/open\nDisallow: /same\nAllow: /same\nAllow:\nDisallow:\nCrawl-delay: 2.5\n\n"
        "Sitemap: https://example.com/s.xml\nUser-agent: *\nDisallow: /everybody\n\nUser-agent: footnote\n"
        "Disallow: /f%C3%B6o\n"
    )
    robots = read_robots(text.encode())
    allowed = {
        path: robots.allows(path) for path in ("/private/x", "/private/open/x", "/same", "/everybody", "/f%C3%B6o")
    }
    assert allowed == {
        "/private/x": False, "/private/open/x": True, "/same": True, "/everybody": True, "/f%C3%B6o": False,
    }  # fmt: skip
    assert (robots.delay_s, robots.sitemaps) == (2.5, ("https://example.com/s.xml",))
    assert not read_robots(b"User-agent: *\nDisallow: /\n").allows("/x")
    assert read_robots(b"\x00\xff garbage : : \n Disallow: /").allows("/x")


def test_what_robots_txt_forbids_is_not_asked_and_its_delay_is_kept() -> None:
    robots = b"User-agent: Footnote\nDisallow: /docs/private\nCrawl-delay: 3\n"
    pages = {
        "/docs/": page("a", "private"),
        "/docs/a": page(),
        "/docs/private": page(),
        "/robots.txt": (200, {}, robots),
    }
    slept: list[float] = []
    with serving(pages) as server, closing(connector(server, Patience(sleep=slept.append), delay_s=1)) as source:
        found, _, _ = listing(source)
    assert set(found) == {f"{server.url}/docs/", f"{server.url}/docs/a"}
    assert "/docs/private" not in server.paths
    assert slept == [3] * (len(server.asked) - 1)


def test_a_robots_txt_that_cannot_be_reached_forbids_all_and_nothing_is_gone() -> None:
    pages: dict[str, Answer] = {"/docs/": page("a"), "/docs/a": page(), "/robots.txt": (500, {}, b"")}
    with serving(pages) as server:
        with pytest.raises(Transient):
            found_at(server)
        assert set(server.paths) == {"/robots.txt"}
        for status in (401, 403, 404):
            pages["/robots.txt"] = (status, {}, b"User-agent: *\nDisallow: /")
            assert set(found_at(server)) == {"/docs/", "/docs/a"}
        pages["/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /")
        with pytest.raises(SourceRefused, match="robots"):
            found_at(server)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["noindex, nofollow"], {"noindex", "nofollow"}),
        (["NONE"], {"none", "noindex", "nofollow"}),
        (["otherbot: noindex, nofollow"], set()),
        (["otherbot: noindex, footnote: nofollow"], {"nofollow"}),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noindex"], {"noindex"}),
        ([""], set()),
    ],
)
def test_a_pages_own_rules_are_read(values: list[str], said: set[str]) -> None:
    assert {one for one in directives(values) if one and not one.startswith("unavail")} == said


def test_pages_that_are_not_to_be_indexed_or_followed_are_not() -> None:
    unseen = '<meta name="Robots" content="noindex">'
    pages: dict[str, Answer] = {
        "/docs/": page("noindex", "nofollow", "tagged", "file.txt"),
        "/docs/noindex": page("behind-noindex", head=unseen),
        "/docs/behind-noindex": page(),
        "/docs/nofollow": page("behind-nofollow", head='<meta name="footnote" content="nofollow">'),
        "/docs/behind-nofollow": page(),
        "/docs/tagged": (200, {**HTML, "X-Robots-Tag": "noindex"}, page()[2]),
        "/docs/file.txt": (200, {"Content-Type": "text/plain", "X-Robots-Tag": "footnote: none"}, b"words"),
    }
    with serving(pages) as server:
        assert set(found_at(server)) == {"/docs/", "/docs/nofollow", "/docs/behind-noindex"}
    single = page()[2].replace(b"<p>", b'<a rel="nofollow noopener" href="/docs/no">x</a><a href="yes">y</a>', 1)
    with serving({"/docs/": (200, HTML, single), "/docs/no": page(), "/docs/yes": page()}) as server:
        assert set(found_at(server)) == {"/docs/", "/docs/yes"}


# Scope, sitemaps, doubles


def test_only_what_lies_on_the_host_below_the_folder_is_read() -> None:
    with serving({"/secret": page(), "/docs/x": page()}) as other:
        links = [
            "a",
            "/elsewhere",
            "/docs",
            f"{other.url}/docs/x",
            "mailto:x@y",
            "javascript:0",
            "../docs/b#part",
            "a?",
        ]
        pages = {"/docs/": page(*links), "/docs/a": page(), "/docs/b": page(), "/elsewhere": page(), "/docs": page()}
        with serving(pages) as server:
            assert set(found_at(server)) == {"/docs/", "/docs/a", "/docs/b"}
            assert {"/elsewhere", "/docs"}.isdisjoint(server.paths)
        assert not other.asked


def test_sitemaps_are_read_with_their_index_compressed_or_as_lines() -> None:
    pages: dict[str, Answer] = {}
    with serving(pages) as server:
        namespace = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
        entries = "".join(f"<url><loc>{server.url}{path}</loc></url>" for path in ("/docs/one", "/elsewhere"))
        compressed = gzip.compress(f"<?xml version='1.0'?><urlset {namespace}>{entries}</urlset>".encode())
        index = "".join(f"<sitemap><loc>{server.url}/{one}</loc></sitemap>" for one in ("1.xml.gz", "2.txt", "3.xml"))
        pages |= {
            "/robots.txt": (200, {}, b"Sitemap: /index.xml\n"),
            "/index.xml": (200, {}, f"<sitemapindex {namespace}>{index}</sitemapindex>".encode()),
            "/1.xml.gz": (200, {"Content-Type": "application/gzip"}, compressed),
            "/2.txt": (200, {}, f"{server.url}/docs/two\n{server.url}/docs/gone\n".encode()),
            "/3.xml": (200, {}, b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><urlset>&a;</urlset>"),
            "/docs/one": page("unlinked"),
            "/docs/two": page(),
            "/docs/unlinked": page(),
        }
        assert set(found_at(server)) == {"/docs/one", "/docs/two", "/docs/unlinked"}
        assert set(found_at(server, follow_links=False)) == {"/docs/one", "/docs/two"}
        with closing(connector(server)) as source:
            refused = [one for taken in listing(source)[2] for one in taken.refused]
    assert [(name, "entities" in why) for name, why in refused] == [(f"{server.url}/3.xml", True)]


def test_a_page_whose_original_is_another_is_read_there_once() -> None:
    def original(path: str) -> str:
        return f'<link rel="canonical" href="{path}">'

    pages: dict[str, Answer] = {
        "/docs/": page("a?print=1", "a", "loop-1", "loop-2", "orphan", "outside"),
        "/docs/a?print=1": page(head=original("/docs/a")),
        "/docs/a": page(head=original("/docs/a")),
        "/docs/loop-1": page(head=original("/docs/loop-2")),
        "/docs/loop-2": page(head=original("/docs/loop-1")),
        "/docs/orphan": page(head=original("/docs/nowhere")),
        "/docs/outside": page(head=original("http://elsewhere.example/")),
    }
    with serving(pages) as server:
        found = set(found_at(server))
    assert found - {"/docs/loop-1", "/docs/loop-2"} == {"/docs/", "/docs/a", "/docs/orphan", "/docs/outside"}
    assert len(found & {"/docs/loop-1", "/docs/loop-2"}) == 1, "one of two that name each other"


def test_files_that_pages_link_to_are_brought_in_under_their_names() -> None:
    paper = b"%PDF-1.7 " + bytes(range(256))
    pages: dict[str, Answer] = {
        "/docs/": page("Paper%20one.pdf", "download?id=7", "style.css", "film", "latin"),
        "/docs/Paper%20one.pdf": (200, {"Content-Type": "application/pdf", "ETag": '"v1"'}, paper),
        "/docs/download?id=7": (200, {"Content-Type": "text/csv"}, b"a,b\n1,2\n"),
        "/docs/film": (200, {"Content-Type": "video/mp4"}, b"\0\0"),
        "/docs/latin": (200, {"Content-Type": "text/html; charset=iso-8859-1"}, "<p>Gebühr".encode("latin-1")),
    }
    with serving(pages) as server, closing(connector(server)) as source:
        found, cursor, _ = listing(source)
        by_path = {key.removeprefix(server.url): one for key, one in found.items()}
        names = {path: one.name for path, one in by_path.items()}
        asked = [(how, path) for how, path, _ in server.asked if "Paper" in path]
        assert source.fetch(by_path["/docs/Paper%20one.pdf"]) == paper
        assert source.fetch(by_path["/docs/latin"]).decode("utf-8-sig") == "<p>Gebühr"
        pages["/docs/Paper%20one.pdf"] = (200, {"Content-Type": "application/pdf", "ETag": '"v2"'}, paper + b"!")
        after, _ = synced(source, found, cursor)
    assert names == {
        "/docs/": "docs.html", "/docs/Paper%20one.pdf": "Paper one.pdf", "/docs/download?id=7": "download.csv",
        "/docs/latin": "latin.html",
    }  # fmt: skip
    assert asked == [("HEAD", "/docs/Paper%20one.pdf")], "a file's validators say enough"
    changed = {path for path, one in by_path.items() if after[server.url + path].revision != one.revision}
    assert changed == {"/docs/Paper%20one.pdf"}


# Time


def test_what_has_not_changed_is_asked_with_its_validators_and_stays_as_it_is() -> None:
    conditional: list[str] = []

    def dated(path: str, headers: Message) -> Answer:
        said = {**HTML, "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}
        if headers.get("If-Modified-Since") == said["Last-Modified"]:
            conditional.append(path)
            return 304, said, b""
        return 200, said, page("b")[2]

    pages = {"/docs/": dated, "/docs/b": page()}
    with serving(pages) as server, closing(connector(server)) as source:
        before, cursor, _ = listing(source)
        after, again, _ = listing(source, cursor)
        assert conditional == ["/docs/"]
        assert {key: one.revision for key, one in after.items()} == {key: one.revision for key, one in before.items()}
        for _ in range(9):
            _, again, _ = listing(source, again)
    assert len(conditional) == 9, "every tenth listing reads everything anew"


def test_a_page_that_moves_is_gone_from_where_it_was_and_listed_where_it_is() -> None:
    pages: dict[str, Answer] = {"/docs/": page("old"), "/docs/old": page(text="moving")}
    with serving(pages) as server, closing(connector(server)) as source:
        before, cursor, _ = listing(source)
        pages |= {"/docs/old": (301, {"Location": "/docs/new"}, b""), "/docs/new": page(text="moving")}
        _, _, taken = listing(source, cursor)
    old, new = f"{server.url}/docs/old", f"{server.url}/docs/new"
    (taken_page,) = taken
    assert list(taken_page.gone) == [old]
    revisions = {one.external_id: one for one in taken_page.listed}
    assert revisions[new].hashed and revisions[new].revision == before[old].revision, "so that it is one and the same"
    assert old not in revisions


def test_validators_of_one_address_say_nothing_of_the_one_it_moved_to() -> None:
    def tagged(_: str, headers: Message) -> Answer:
        same = headers.get("If-None-Match") == '"1"'
        return (304, {"ETag": '"1"'}, b"") if same else (200, {**HTML, "ETag": '"1"'}, page(text="another")[2])

    pages: dict[str, Answer | Callable[[str, Message], Answer]] = {"/docs/": page("old"), "/docs/old": tagged}
    with serving(pages) as server, closing(connector(server)) as source:
        _, cursor, _ = listing(source)
        pages |= {"/docs/old": (301, {"Location": "/docs/new"}, b""), "/docs/new": tagged}
        after, _, _ = listing(source, cursor)
        assert after[f"{server.url}/docs/new"].revision


def test_what_cannot_be_had_just_now_is_refused_and_not_gone() -> None:
    pages: dict[str, Answer] = {
        "/docs/": page("login", "broken", "huge", "leads-out", "gone"),
        **{f"/docs/{name}": page(text=name) for name in ("login", "broken", "huge", "leads-out", "gone")},
    }
    with serving(pages) as server, closing(connector(server)) as source:
        before, cursor, _ = listing(source)
        assert len(before) == 6
        pages |= {
            "/docs/login": (403, {}, b""),
            "/docs/broken": (502, {}, b""),
            "/docs/huge": (200, HTML, b"x" * (LIMIT + 1)),
            "/docs/leads-out": (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b""),
            "/docs/gone": (410, {}, b""),
        }
        _, cursor, taken = listing(source, cursor)
        refused = {name.removeprefix(server.url) for one in taken for name, _ in one.refused}
        gone = {name.removeprefix(server.url) for one in taken for name in one.gone}
        assert refused == {"/docs/login", "/docs/broken", "/docs/huge"}
        assert gone == {"/docs/gone", "/docs/leads-out"}
        with pytest.raises(UnreadableDocument):
            source.fetch(before[f"{server.url}/docs/login"])
        with pytest.raises(UnreadableDocument):
            source.fetch(before[f"{server.url}/docs/huge"])
        with pytest.raises(NotFound):
            source.fetch(before[f"{server.url}/docs/gone"])
        pages |= {"/docs/login": page(text="login"), "/docs/broken": page(text="broken"), "/docs/gone": page()}
        after, _, _ = listing(source, cursor)
        assert {f"{server.url}/docs/{name}" for name in ("login", "broken", "gone")} <= after.keys()


def test_a_site_that_goes_down_in_the_middle_is_down_and_the_cursor_before_it_holds() -> None:
    pages: dict[str, Answer] = {"/docs/": page(*map(str, range(12))), **{f"/docs/{n}": page() for n in range(12)}}
    with serving(pages) as server:
        with closing(connector(server, listed_together=4)) as source:
            steps = source.changes(None)
            first = next(steps)
            kept = dict(pages)
            pages |= {f"/docs/{n}": (503, {}, b"") for n in range(12)}
            with pytest.raises(Transient):
                list(steps)
        pages |= kept
        with closing(connector(server, listed_together=4)) as source:
            rest, _, _ = listing(source, first.cursor)
    assert len({one.external_id for one in first.listed} | rest.keys()) == 13


@pytest.mark.parametrize("status", [401, 403, 302])
def test_a_first_page_that_is_not_shown_is_the_operators(status: int) -> None:
    start: Answer = (status, {"Location": "https://sso.example/login"}, b"")
    with serving({"/docs/": start}) as server, pytest.raises(SourceRefused, match="as url"):
        found_at(server)


def test_an_address_that_is_wrong_says_so_rather_than_emptying_the_source() -> None:
    with serving({}) as server, pytest.raises(SourceRefused, match="nothing at"):
        found_at(server)


def test_a_cursor_of_another_site_is_expired() -> None:
    from ingest.connectors.protocol import CursorExpired

    with serving({"/docs/": page(), "/other/": page()}) as server, closing(connector(server)) as source:
        _, cursor, _ = listing(source)
        with closing(connector(server, folder="/other/")) as other, pytest.raises(CursorExpired):
            listing(other, cursor)


def test_a_page_whose_lastmod_stands_is_not_asked_where_that_is_trusted() -> None:
    sitemap = "<urlset><url><loc>/docs/a</loc><lastmod>{}</lastmod></url></urlset>"
    pages: dict[str, Answer] = {"/docs/a": page(), "/sitemap.xml": (200, {}, sitemap.format("2026-01-01").encode())}
    with serving(pages) as server, closing(connector(server, trust_lastmod=True)) as source:
        before, cursor, _ = listing(source)
        pages["/docs/a"] = page(text="changed")
        same, cursor, _ = listing(source, cursor)
        pages["/sitemap.xml"] = (200, {}, sitemap.format("2026-02-01").encode())
        other, _, _ = listing(source, cursor)
    key = f"{server.url}/docs/a"
    assert same[key].revision == before[key].revision != other[key].revision


# Traps


def refusals(server: SmallSite, **settings: object) -> tuple[dict[str, Listed], dict[str, str], bool]:
    with closing(connector(server, **settings)) as source:
        found, _, pages = listing(source)
    return found, {name: why for one in pages for name, why in one.refused}, pages[-1].whole


def endless(next_links: Callable[[str], Sequence[str]]) -> Handler:
    return lambda _, path, __: (
        MISSING if path in ("/robots.txt", "/sitemap.xml") else page(*next_links(path), text=path)
    )


def test_a_calendar_without_end_ends_and_deletes_nothing() -> None:
    def later(path: str) -> list[str]:
        return [
            f"/docs/calendar?month={int(path.rpartition('=')[2] or 0) + 1}" if "=" in path else "/docs/calendar?month=1"
        ]

    with small_site(endless(later)) as server:
        found, refused, is_whole = refusals(server, most_depth=9)
        assert len(found) == 10
        assert not is_whole, "what was left out is not gone"
        assert [("calendar" in name, "most_depth" in why) for name, why in refused.items()] == [(True, True)]
        left_out, refused, is_whole = refusals(server, leave_out=["/docs/calendar"])
        assert (len(left_out), refused, is_whole) == (1, {}, True)


def test_a_farm_of_links_ends_at_the_limit_of_pages() -> None:
    with small_site(endless(lambda path: [f"{path}{n}/" if path.endswith("/") else n for n in "abcdefgh"])) as server:
        found, refused, is_whole = refusals(server, most_pages=25)
        assert len(found) == 25
        assert not is_whole and ["most_pages" in why for why in refused.values()] == [True]


def test_relative_links_that_lead_to_themselves_end() -> None:
    with small_site(endless(lambda path: ["again/"])) as server:
        found, refused, is_whole = refusals(server)
        assert (len(found), refused, is_whole) == (web_listing.REPEATED + 1, {}, True)


def test_originals_of_originals_end() -> None:
    def answer(_: str, path: str, __: object) -> Answer:
        number = int(path.rpartition("/")[2] or 0) if path.startswith("/docs/") else -1
        return MISSING if number < 0 else page(head=f'<link rel="canonical" href="/docs/{number + 1}">')

    with small_site(answer) as server:
        found, _, _ = refusals(server)
    assert list(found) == [f"{server.url}/docs/1"]


def test_session_ids_make_no_new_pages() -> None:
    visits = iter(range(10_000))

    def sessions(path: str) -> list[str]:
        n = next(visits)
        return [f"/docs/a;jsessionid={n:032x}?PHPSESSID={n:032x}&x=1&utm_source=m{n}", f"/docs/b?sid={n:032x}"]

    with small_site(endless(sessions)) as server:
        assert set(found_at(server)) == {"/docs/", "/docs/a?x=1", "/docs/b"}


def test_redirects_in_a_loop_are_refused_alone() -> None:
    pages: dict[str, Answer] = {
        "/docs/": page("round", "fine"), "/docs/fine": page(), "/docs/round": (302, {"Location": "/docs/round"}, b""),
    }  # fmt: skip
    with serving(pages) as server:
        found, refused, is_whole = refusals(server)
    assert {key.removeprefix(server.url) for key in found} == {"/docs/", "/docs/fine"}
    assert list(refused) == [f"{server.url}/docs/round"]
    assert is_whole


def test_a_page_that_is_hostile_to_parsers_is_listed_and_the_listing_goes_on() -> None:
    deep = b"<div>" * 30_000 + b'<a href="b">b</a>'
    many = b"".join(b'<a href="%d">x</a>' % n for n in range(12_000))
    pages: dict[str, Answer] = {"/docs/": page("deep", "many"), "/docs/deep": (200, HTML, deep), "/docs/b": page()}
    with serving({**pages, "/docs/many": (200, HTML, many)}) as server:
        found, _, is_whole = refusals(server, most_pages=50)
    assert {f"{server.url}/docs/{name}" for name in ("deep", "many")} <= found.keys()
    assert not is_whole


def test_a_cursor_is_bounded_though_the_site_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_listing, "CURSOR_BYTES", 3_000)
    with small_site(endless(lambda path: [f"{path}{n}/" for n in "abcdefgh"])) as server:
        found, refused, is_whole = refusals(server, most_pages=1_000)
    assert 10 < len(found) < 40
    assert not is_whole and ["narrow url" in why for why in refused.values()] == [True]


def test_nothing_inside_is_asked_whatever_a_page_links_or_redirects_to() -> None:
    with serving({"/docs/secret": page(text="secret")}) as inside:
        pages: dict[str, Answer] = {
            "/docs/": page("hop", f"{inside.url}/docs/secret", head=f'<base href="{inside.url}/docs/">'),
            "/docs/hop": (302, {"Location": f"{inside.url}/docs/secret"}, b""),
            "/robots.txt": (302, {"Location": f"{inside.url}/robots.txt"}, b""),
        }
        with serving(pages) as server, pytest.raises(SourceRefused):
            found_at(server)
        pages["/robots.txt"] = (200, {}, f"Sitemap: {inside.url}/docs/secret\n".encode())
        with serving(pages) as server:
            assert set(found_at(server)) == {"/docs/"}
            with closing(connector(server, sitemaps=[f"{inside.url}/docs/secret"])) as source:
                listing(source)
        assert not inside.asked
