"""A web site as a source: what its sitemaps name and its links lead to, as far as robots.txt and its pages let us."""

from __future__ import annotations

import codecs
import hashlib
import json
import mimetypes
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote

from core.documents import clean_text
from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors.api import Patience, retry_after
from ingest.connectors.protocol import Listed, Page, WithoutPermissions
from ingest.connectors.reach import Reach
from ingest.connectors.robots import Robots, directives, matches, read_robots
from ingest.connectors.web_fetch import Fetched, WebClient, inflated
from ingest.connectors.web_listing import Entry, WebListing
from ingest.connectors.web_reading import PAGE, SITEMAP
from ingest.connectors.web_settings import LONGEST_DELAY_S, WebSettings
from ingest.connectors.web_url import PORTS, AddressRefused, WebUrl, escaped, parse_url
from ingest.parsing.limits import MIB, Limits
from ingest.parsing.sandbox import SandboxedParser

AGENT = f"Footnote/{version('footnote')}"
SITEMAP_BYTES = 50 * MIB
"""Of one sitemap, inflated (sitemaps.org, "Sitemap file format")."""
SITEMAPS = 500
ROBOTS_BYTES = 5 * MIB
FAILURES = 5
"""Pages in a row that cannot be had before the site as a whole counts as down."""

_READER = "ingest.connectors.web_reading:parse"
_READER_LIMITS = Limits(seconds=20.0, memory_bytes=1024 * MIB)
_HTML = ("text/html", "application/xhtml+xml")
# What a page is made of, and what holds no text.
_NO_DOCUMENTS = (
    "audio/",
    "video/",
    "font/",
    "text/css",
    "text/javascript",
    "application/javascript",
    "application/wasm",
)
_NO_DOCUMENT_PATH = re.compile(
    r".*\.(?:css|m?js|map|woff2?|ttf|eot|ico|mp[34]|m4[av]|avi|mov|webm|ogg|wav|flac|exe|msi|dmg|iso|deb|rpm|apk|wasm)",
    re.I,
)
# Files that hold no links: their validators are asked for before their bytes.
_FILE_PATH = re.compile(
    r".*\.(?:pdf|doc[xm]?|dotx|xls[xm]?|ppt[xm]?|od[tsp]|rtf|epub|[ct]sv|zip|tar|gz|tgz|png|jpe?g|tiff?|gif|bmp|webp|eml|msg"
    r"|mbox|jsonl?|xml|txt|md)",
    re.I,
)
# Servers put these into addresses for each visitor anew, or links for where they stand; the page is the same.
_SESSION_PATH = re.compile(r";jsessionid=[^?/;]*", re.I)
_SESSION_QUERY = re.compile(
    r"(?:phpsessid|jsessionid|aspsessionid\w*|cfid|cftoken|sessionid|session_id|utm_\w+|gclid|fbclid|mc_[ce]id)=.*"
    r"|(?:sid|s|session)=[0-9a-f]{16,}",
    re.I,
)
_CHARSET = re.compile(r"charset\s*=\s*\"?([-\w:.]+)", re.I)


def open_web(settings: WebSettings, max_document_bytes: int = 100_000_000, patience: Patience | None = None) -> Web:
    """The connector of one site. Raises `SourceRefused` for a `url` that must not be asked."""
    reach = Reach(
        frozenset(settings.allowed_hosts), tuple(settings.allowed_networks), frozenset(settings.allowed_ports)
    )
    tls = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    client = WebClient(reach, AGENT, tls=tls, seconds=settings.timeout_s)
    return Web(settings, client, max_document_bytes, patience)


@dataclass
class _Found:
    """What one page of a listing will say."""

    listed: list[Listed] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


class Web(WithoutPermissions):
    """One site. A document's id is its address; a page that leads to another is that other one, moved.

    Every listing is of everything, and asks what it knows with the validators it knows. It names as gone what answers
    that it is, what has moved and what is no longer to be indexed; what cannot be had just now is refused, not gone.
    """

    def __init__(
        self, settings: WebSettings, client: WebClient, max_document_bytes: int, patience: Patience | None = None
    ) -> None:
        self._settings, self._client, self._limit = settings, client, max_document_bytes
        self._patience = patience or Patience()
        self._start = parse_url(settings.url)
        self._folder = self._start.path[: self._start.path.rindex("/") + 1]
        self._leave_out = [escaped(pattern) for pattern in settings.leave_out]
        self._site = hashlib.sha256(f"{self._start}".encode()).hexdigest()[:16]
        self._robots: Robots | None = None
        self._reader: SandboxedParser | None = None
        self._has_asked = False
        self._failures = 0
        self._is_nested = False

    def __repr__(self) -> str:
        return f"Web({str(self._start)!r})"

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def changes(self, cursor: str | None) -> Iterator[Page]:
        listing = WebListing(is_done=True) if cursor is None else WebListing.of(cursor, self._site)
        self._robots, self._failures = None, 0
        if not self._rules().allows(self._start.target):
            raise SourceRefused(
                f"robots.txt of {self._start.authority} does not let Footnote read {self._start.path}; have its owner "
                "allow the user agent Footnote."
            )
        found = _Found()
        if listing.is_done:
            listing = listing.begun_anew(self._start.target)
            self._add_sitemaps(listing, found)
        while True:
            for _ in range(self._settings.listed_together):
                if not listing.waiting:
                    break
                self._visit(listing, found, *listing.next())
            listing.is_done = not listing.waiting
            # A listing that was cut has not named everything, and what it has not named is not gone for that.
            is_whole = not (listing.is_done and listing.cut)
            yield Page(found.listed, listing.cursor(self._site), found.gone, is_whole, listing.is_done, found.refused)
            if listing.is_done:
                return
            found = _Found()

    def fetch(self, document: Listed) -> bytes:
        url = parse_url(document.external_id)
        answer = self._ask(url, {}, self._limit)
        if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) or answer.status in range(300, 400):
            raise NotFound("page", document.external_id)
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise UnreadableDocument("unreadable", f"The site no longer shows it to everybody ({answer.status}).")
        if answer.status != HTTPStatus.OK:
            raise Transient(f"{url.host} answered with {answer.status}.")
        return _readable(answer)

    # What is asked, and how.

    def _rules(self) -> Robots:
        """What robots.txt asks of us; where it is not there, nothing. Raises `Transient` where it cannot be had.

        RFC 9309, 2.3.1.4 has a site whose robots.txt cannot be reached read as one that forbids everything: so it is
        not asked, and nothing of it counts as gone.
        """
        if self._robots is None:
            where = replace(self._start, target="/robots.txt")
            try:
                answer = self._asked(where, {}, ROBOTS_BYTES, may_follow=lambda _: True)
            except UnreadableDocument as error:
                raise SourceRefused(f"robots.txt of {self._start.authority} cannot be read: {error}") from error
            self._robots = read_robots(answer.body) if answer.status == HTTPStatus.OK else Robots()
        return self._robots

    def _ask(self, url: WebUrl, headers: Mapping[str, str], limit: int, method: str = "GET") -> Fetched:
        """Ask for a page of the site; a redirect that leads out of it is what is answered."""
        rules = self._rules()

        def may_follow(target: WebUrl) -> bool:
            return self._within(target) is not None and rules.allows(target.target)

        return self._asked(url, headers, limit, may_follow, method)

    def _asked(
        self,
        url: WebUrl,
        headers: Mapping[str, str],
        limit: int,
        may_follow: Callable[[WebUrl], bool],
        method: str = "GET",
    ) -> Fetched:
        problem = ""
        for attempt in range(self._patience.attempts):
            self._pause()
            asked_for: float | None = None
            try:
                answer = self._client.get(url, limit, method=method, headers=headers, may_follow=may_follow)
                if answer.status != HTTPStatus.TOO_MANY_REQUESTS and answer.status < 500:
                    return answer
                problem = f"{url.host} answered with {answer.status}."
                asked_for = retry_after(answer.headers)
            except Transient as error:
                problem = str(error)
            if attempt + 1 < self._patience.attempts:
                self._patience.wait(attempt, asked_for)
        raise Transient(problem)

    def _pause(self) -> None:
        asked_for = self._robots.delay_s if self._robots is not None else 0.0
        delay_s = min(LONGEST_DELAY_S, max(self._settings.delay_s, asked_for))
        if self._has_asked and delay_s:
            self._patience.sleep(delay_s)
        self._has_asked = True

    def _within(self, url: WebUrl) -> str | None:
        """An address of the site as it is kept, by path and query; None for one elsewhere, or left out.

        http and https on their own ports are one site, asked as `url` of the settings is.
        """
        ours = self._start
        is_same = url.site == ours.site or (
            url.host == ours.host and url.port == PORTS[url.scheme] and ours.port == PORTS[ours.scheme]
        )
        path, question, query = _SESSION_PATH.sub("", url.target).partition("?")
        query = "&".join(part for part in query.split("&") if part and not _SESSION_QUERY.fullmatch(part))
        target = path + question * bool(query) + query
        if not is_same or not path.startswith(self._folder) or any(matches(one, target) for one in self._leave_out):
            return None
        return None if _NO_DOCUMENT_PATH.fullmatch(path) else target

    def _url(self, target: str) -> WebUrl:
        return replace(self._start, target=target)

    # What a listing takes from it.

    def _visit(self, listing: WebListing, found: _Found, target: str, depth: int, lastmod: str) -> None:
        """Ask for one page and take what it says: that it is the same, changed, moved, gone, or not for us."""
        before = listing.before.pop(target, None)
        if target in listing.seen:
            return
        # Whatever comes of it: it had its turn.
        listing.seen[target] = Entry(depth)
        url = self._url(target)
        if not self._rules().allows(target) or self._within(url) is None:
            self._lost(found, target, before)
            return
        if self._settings.trust_lastmod and before and before.revision and lastmod and before.lastmod == lastmod:
            self._list(listing, found, target, replace(before, depth=depth))
            return
        try:
            answer = self._answer(url, before)
        except (UnreadableDocument, AddressRefused) as error:
            self._refuse(listing, found, target, before, str(error))
            return
        except Transient as error:
            self._failures += 1
            if target == self._start.target or self._failures >= FAILURES:
                raise
            self._refuse(listing, found, target, before, str(error))
            return
        self._failures = 0
        at = self._within(answer.url) or target
        if at != target:
            self._lost(found, target, before)
            if listing.seen.get(at, Entry(0)).revision:
                return
            listing.waiting.pop(at, None)
            target, before = at, listing.before.pop(at, None)
        self._take(listing, found, answer, target, replace(before or Entry(depth), depth=depth, lastmod=lastmod))

    def _answer(self, url: WebUrl, before: Entry | None) -> Fetched:
        """What a page answers, asked with the validators that are known of it; of a file without its bytes."""
        conditions: dict[str, str] = {}
        if before is not None and before.revision:
            conditions |= {"If-None-Match": before.etag} if before.etag else {}
            conditions |= {"If-Modified-Since": before.modified} if before.modified and not before.etag else {}
        if _FILE_PATH.fullmatch(url.path):
            answer = self._ask(url, conditions, self._limit, "HEAD")
            is_known = answer.status == HTTPStatus.OK and _media_type(answer) not in _HTML and _validators(answer)
            is_same = answer.status == HTTPStatus.NOT_MODIFIED and answer.url == url
            if is_known or is_same or answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                return answer
        answer = self._ask(url, conditions, self._limit)
        if answer.status == HTTPStatus.NOT_MODIFIED and answer.url != url:
            # The validators were another address's.
            answer = self._ask(answer.url, {}, self._limit)
        return answer

    def _take(self, listing: WebListing, found: _Found, answer: Fetched, target: str, before: Entry) -> None:
        status = answer.status
        if status == HTTPStatus.NOT_MODIFIED:
            self._list(listing, found, target, before)
        elif status == HTTPStatus.OK:
            if _media_type(answer) in _HTML:
                self._take_page(listing, found, answer, target, before)
            elif _media_type(answer).startswith(_NO_DOCUMENTS) or "noindex" in directives(
                [answer.headers.get("x-robots-tag", "")]
            ):
                listing.seen[target] = Entry(before.depth)
                self._lost(found, target, before)
            else:
                self._list(listing, found, target, _entry(answer, target, before))
        elif target == self._start.target and status in (*range(300, 400), 401, 403):
            where = f": it leads to {answer.headers['location']}" if "location" in answer.headers else ""
            raise SourceRefused(
                f"{self._start} is not shown to us ({status}{where}). Name the address where the site begins as url."
            )
        elif status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) or status in range(300, 400):
            if target == self._start.target and not listing.waiting and not found.listed and len(listing.seen) == 1:
                raise SourceRefused(f"There is nothing at {self._start} ({status}); correct the address.")
            listing.seen[target] = Entry(before.depth)
            self._lost(found, target, before)
        else:
            self._refuse(listing, found, target, before, f"the site does not show it to us ({status})")

    def _take_page(self, listing: WebListing, found: _Found, answer: Fetched, target: str, before: Entry) -> None:
        """Take a page of HTML: its links, and the page itself unless it is another's double or not to be indexed."""
        said = self._read(PAGE, _readable(answer))
        told = directives([answer.headers.get("x-robots-tag", ""), *said.get("robots", ())])
        base = _joined(answer.url, said.get("base") or "") or answer.url
        if self._settings.follow_links and "nofollow" not in told:
            for link in said.get("links", ()):
                self._add(listing, found, _joined(base, link), before.depth + 1)
            if said.get("more"):
                listing.cut = True
        listing.seen[target] = Entry(before.depth)
        if "noindex" in told:
            self._lost(found, target, before)
            return
        canonical = _joined(base, said.get("canonical") or "")
        original = self._within(canonical) if canonical is not None and said.get("canonical") else None
        if original is not None and original != target and self._stands_for(listing, found, original, before.depth):
            self._lost(found, target, before)
            return
        self._list(listing, found, target, _entry(answer, target, before))

    def _stands_for(self, listing: WebListing, found: _Found, original: str, depth: int) -> bool:
        """Whether the page that another calls its original is there and was taken; it is asked now if it was not."""
        if original not in listing.seen and original not in found.gone:
            depth, lastmod = listing.waiting.pop(original, (depth, ""))
            if not self._is_nested:
                self._is_nested = True
                try:
                    self._visit(listing, found, original, depth, lastmod)
                finally:
                    self._is_nested = False
        return bool(listing.seen.get(original, Entry(0)).revision)

    def _list(self, listing: WebListing, found: _Found, target: str, entry: Entry) -> None:
        listing.seen[target] = entry
        uri = str(self._url(target))
        found.listed.append(Listed(uri, entry.name, uri, entry.revision, hashed=entry.hashed))

    def _lost(self, found: _Found, target: str, before: Entry | None) -> None:
        if before is not None and before.revision:
            found.gone.append(str(self._url(target)))

    def _refuse(self, listing: WebListing, found: _Found, target: str, before: Entry | None, reason: str) -> None:
        listing.seen[target] = before or listing.seen.get(target, Entry(0))
        found.refused.append((str(self._url(target)), reason))

    def _add(self, listing: WebListing, found: _Found, url: WebUrl | None, depth: int, lastmod: str = "") -> None:
        target = self._within(url) if url is not None else None
        if target is None:
            return
        reason = listing.add(target, depth, self._settings.most_pages, self._settings.most_depth, lastmod)
        if reason is not None:
            found.refused.append(
                (str(self._url(target)), f"This and whatever else lies beyond was left out: {reason}.")
            )

    def _add_sitemaps(self, listing: WebListing, found: _Found) -> None:
        """Let the pages of all sitemaps wait, those of an index included (one level, as the protocol has it)."""
        root = replace(self._start, target="/")
        named = list(self._settings.sitemaps or self._rules().sitemaps) or ["/sitemap.xml"]
        maps = [(url, True) for url in (_joined(root, name) for name in named) if url is not None]
        asked: set[WebUrl] = set()
        while maps and len(asked) < SITEMAPS:
            url, may_be_index = maps.pop(0)
            if url in asked or url.host != self._start.host:
                continue
            asked.add(url)
            said = self._sitemap(url, found)
            for where, lastmod in said.get("pages", ()):
                self._add(listing, found, _joined(url, where), 0, lastmod)
            if may_be_index:
                maps += [(inner, False) for inner in (_joined(url, one) for one in said.get("maps", ())) if inner]

    def _sitemap(self, url: WebUrl, found: _Found) -> dict[str, Any]:
        try:
            answer = self._asked(url, {}, SITEMAP_BYTES, may_follow=lambda target: target.host == url.host)
            if answer.status != HTTPStatus.OK:
                return {}
            data = answer.body
            if data.startswith(b"\x1f\x8b"):
                data = inflated([data], SITEMAP_BYTES)
            return self._read(SITEMAP, data, strict=True)
        except (UnreadableDocument, AddressRefused) as error:
            found.refused.append((str(url), f"the sitemap cannot be read: {error}"))
            return {}

    def _read(self, kind: str, data: bytes, *, strict: bool = False) -> dict[str, Any]:
        """What the parser process finds in a page or sitemap; nothing where it cannot read it, unless `strict`."""
        if self._reader is None:
            self._reader = SandboxedParser(_READER_LIMITS, parser=_READER)
        try:
            said: dict[str, Any] = json.loads(self._reader.parse(data, kind).text)
        except UnreadableDocument:
            if strict:
                raise
            return {}
        return said


def _joined(base: WebUrl, reference: str) -> WebUrl | None:
    """What a link leads to; None for a mail address, a script and all else that is no page."""
    try:
        return base.joined(reference)
    except AddressRefused:
        return None


def _media_type(answer: Fetched) -> str:
    """What the site says it is; what begins as HTML does where it says nothing."""
    said = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not said and answer.body[:500].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "text/html"
    return said


def _validators(answer: Fetched) -> str:
    """What tells one state of a file from the next without its bytes; a weak ETag does not."""
    etag = answer.headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return etag
    modified, length = answer.headers.get("last-modified", ""), answer.headers.get("content-length", "")
    return f"{modified} {length}" if modified and length else ""


def _entry(answer: Fetched, target: str, before: Entry) -> Entry:
    """What is kept of a page: its revision is what the server says of a file, else a hash of its bytes."""
    media_type = _media_type(answer)
    is_file = _FILE_PATH.fullmatch(answer.url.path) is not None and media_type not in _HTML
    said = _validators(answer) if is_file else ""
    return replace(
        before,
        revision=hashlib.sha256(said.encode() if said else answer.body).hexdigest()[:32],
        hashed=not said,
        name=_name(target, media_type),
        etag=answer.headers.get("etag", "")[:200],
        modified=answer.headers.get("last-modified", "")[:40],
    )


def _name(target: str, media_type: str) -> str:
    """A file name that tells what kind of text it is: the last step of the path, with the suffix of its media type."""
    step = unquote(target.partition("?")[0].rstrip("/").rpartition("/")[2]) or "index"
    name = " ".join(re.sub(r"[/\\\x00-\x1f\x7f]+", " ", clean_text(step)).split())[:200] or "index"
    if media_type in _HTML:
        return name if name.lower().endswith((".html", ".htm", ".xhtml")) else f"{name}.html"
    suffix = mimetypes.guess_extension(media_type) or "" if "." not in name else ""
    return name + suffix


def _readable(answer: Fetched) -> bytes:
    """A page as one will understand it who has no headers: in UTF-8 with its mark, where they name a charset."""
    media_type = _media_type(answer)
    declared = _CHARSET.search(answer.headers.get("content-type", ""))
    if declared is None or not (media_type in _HTML or media_type.startswith("text/")):
        return answer.body
    try:
        text = answer.body.decode(codecs.lookup(declared[1]).name)
    except (LookupError, ValueError, AssertionError):
        return answer.body
    return codecs.BOM_UTF8 + text.removeprefix("\ufeff").encode("utf-8", "replace")
