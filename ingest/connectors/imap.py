"""An IMAP mailbox (RFC 3501): its folders' messages as documents, read without a trace."""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors.api import Api, Patience
from ingest.connectors.cursors import fingerprint
from ingest.connectors.imap_cursor import MailboxCursor, SeenFolder, as_ranges, read_ranges
from ingest.connectors.imap_settings import ImapSettings, Use
from ingest.connectors.mailbox_names import decoded, quoted, unquoted
from ingest.connectors.message_names import file_name
from ingest.connectors.protocol import CursorExpired, Listed, Page, WithoutPermissions

TIMEOUT_S = 60.0
LISTING_BYTES = 64 * 1024 * 1024
"""The most that a server may answer to one command; messages have a limit of their own."""
SUBJECT_BYTES = 4096
_VERSION = 1
_ENVELOPE_BYTES = 64 * 1024

# RFC 6154; \All and \Flagged show messages that stand in other folders too.
_USES: dict[str, Use] = {"\\junk": "junk", "\\trash": "trash", "\\drafts": "drafts"}
_VIEWS = frozenset({"\\all", "\\flagged"})
# What the folders are mostly called where the server does not tell their use.
_USUAL_NAMES: dict[str, Use] = {
    "junk": "junk",
    "junk e-mail": "junk",
    "spam": "junk",
    "trash": "trash",
    "deleted items": "trash",
    "deleted messages": "trash",
    "drafts": "drafts",
}
# RFC 5530: the mailbox is there and the password may be right.
_FOR_NOW = (b"[UNAVAILABLE]", b"[INUSE]", b"[LIMIT]", b"[SERVERBUG]")
_FOLDER = re.compile(rb'\((?P<flags>[^)]*)\) +(?:"(?P<delimiter>(?:\\.|[^"\\])*)"|NIL) +(?P<name>.*)', re.S)


class Imap(WithoutPermissions):
    """One mailbox. A message is `FOLDER/UIDVALIDITY.UID`, which the server never gives to another one.

    A message that is moved is another document, with the same text: its chunks are not embedded again. Nothing is
    marked as read: folders are opened with EXAMINE and bodies fetched with PEEK.
    """

    def __init__(
        self,
        settings: ImapSettings,
        secret: SecretStr,
        patience: Patience | None = None,
        max_document_bytes: int = 100_000_000,
    ) -> None:
        self._settings, self._secret, self._limit = settings, secret, max_document_bytes
        self._patience = patience
        self._server: _Tls | _Plain | None = None
        self._opened: tuple[str, int] | None = None

    def __repr__(self) -> str:
        return f"Imap({self._settings.host!r})"

    def changes(self, cursor: str | None) -> Iterator[Page]:
        """Messages that are new and those that are gone, folder by folder.

        Raises `CursorExpired` where a folder's UIDs count anew (RFC 3501, 2.3.1.1).
        """
        state = MailboxCursor.read(cursor, fingerprint("imap", _VERSION, self._settings.host, self._settings.user))
        folders = {folder.raw: folder for folder in self._folders()}
        for raw in sorted(state.folders.keys() - folders.keys()):
            known = state.folders.pop(raw)
            yield Page((), state.written(), gone=known.ids(raw, known.uids), whole=state.whole)
        for raw in sorted(folders):
            try:
                yield from self._changes_of(raw, state)
            except NotFound as error:
                raise Transient("A folder of the mailbox went away while it was listed.") from error
        whole, state.whole = state.whole, False
        yield Page((), state.written(), whole=whole, last=True)

    def fetch(self, document: Listed) -> bytes:
        place, _, raw = document.reference.partition(" ")
        validity, _, uid = place.partition(".")
        with self._answering() as server:
            if self._examine(server, raw) != int(validity):
                raise NotFound("message", document.external_id)
            size = next(iter(_messages(self._command(server, "FETCH", uid, "(UID RFC822.SIZE)"))), None)
            if size is None:
                raise NotFound("message", document.external_id)
            if size.size > self._limit:
                raise self._too_large()
            try:
                found = list(_messages(self._command(server, "FETCH", uid, "(UID BODY.PEEK[])", self._limit)))
            except _TooMuch as error:
                # The server said less than it sends; what is on its way cannot be taken back.
                self._drop()
                raise self._too_large() from error
        if not found:
            raise NotFound("message", document.external_id)
        return found[0].literal

    def close(self) -> None:
        if self._server is not None:
            try:
                self._server.logout()
            except (imaplib.IMAP4.error, OSError, _TooMuch):
                pass
            self._drop()

    def _changes_of(self, raw: str, state: MailboxCursor) -> Iterator[Page]:
        with self._answering() as server:
            status = self._status(server, raw)
            known = state.folders.get(raw, SeenFolder(status["UIDVALIDITY"]))
            if known.validity != status["UIDVALIDITY"]:
                raise CursorExpired("a folder of the mailbox counts its messages anew")
            seen_at = (status.get("UIDNEXT", 0), status.get("MESSAGES", -1))
            # UIDs only grow: with the same next one and as many messages, none has come and none has gone.
            if known.seen_at == seen_at and seen_at[0]:
                return
            if self._examine(server, raw) != known.validity:
                raise CursorExpired("a folder of the mailbox counts its messages anew")
            now = self._uids(server)
        gone = known.ids(raw, known.uids - now)
        state.folders[raw] = known = replace(known, uids=known.uids & now)
        new = sorted(now - known.uids)
        for batch in _batches(new, self._settings.page_messages):
            with self._answering() as server:
                if self._examine(server, raw) != known.validity:
                    raise CursorExpired("a folder of the mailbox counts its messages anew")
                wanted = f"(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)]<0.{SUBJECT_BYTES}>)"
                answered = self._command(server, "FETCH", as_ranges(batch), wanted)
                listed = [self._listed(raw, known.validity, message) for message in _messages(answered)]
            known.uids.update(batch)
            yield Page(listed, state.written(), gone=gone, whole=state.whole)
            gone = ()
        state.folders[raw] = replace(known, seen_at=seen_at)
        if gone:
            yield Page((), state.written(), gone=gone, whole=state.whole)

    def _listed(self, raw: str, validity: int, message: _Message) -> Listed:
        place = f"{validity}.{message.uid}"
        settings = self._settings
        where = f"{quote(decoded(raw), safe='')};UIDVALIDITY={validity}/;UID={message.uid}"  # RFC 5092
        return Listed(
            external_id=f"{decoded(raw)}/{place}",
            name=file_name(message.literal),
            uri=f"imap://{quote(settings.user, safe='')}@{settings.host}:{settings.reached_at}/{where}",
            revision=place,
            reference=f"{place} {raw}",
        )

    def _folders(self) -> list[_Place]:
        """The folders to bring in, every message in one of them if the server can show it in several."""
        with self._answering() as server:
            tells_uses = "SPECIAL-USE" in server.capabilities and "LIST-EXTENDED" in server.capabilities
            kind, answered = server.list('""', "* RETURN (SPECIAL-USE)" if tells_uses else "*")
            if kind != "OK":
                raise Transient("The mailbox does not tell its folders.")
            places = [place for place in _places(answered) if not place.flags & {"\\noselect", "\\nonexistent"}]
        settings = self._settings
        if settings.folders == ("*",) and (everything := [place for place in places if "\\all" in place.flags]):
            # Its messages stand there without those of Junk and Trash, and once, whatever labels they bear.
            places = everything
        else:
            places = [place for place in places if not place.flags & _VIEWS]
        uses_are_told = any(place.flags & _USES.keys() for place in places)
        return [
            place
            for place in places
            if any(fnmatchcase(decoded(place.raw), pattern) for pattern in settings.folders)
            and not any(fnmatchcase(decoded(place.raw), pattern) for pattern in settings.exclude)
            and not place.uses(uses_are_told) & set(settings.leave_out)
        ]

    def _status(self, server: _Tls | _Plain, raw: str) -> dict[str, int]:
        kind, answered = server.status(_argument(raw), "(UIDVALIDITY UIDNEXT MESSAGES)")
        if kind != "OK":
            raise self._closed_folder(raw, answered)
        found = {name.decode(): int(number) for name, number in re.findall(rb"([A-Z]+) (\d+)", _text(answered))}
        if "UIDVALIDITY" not in found:
            raise Transient("The mailbox does not tell how a folder stands.")
        return found

    def _examine(self, server: _Tls | _Plain, raw: str) -> int:
        """Open a folder, unless it is, and return its UIDVALIDITY."""
        if self._opened is not None and self._opened[0] == raw:
            return self._opened[1]
        self._opened = None
        kind, answered = server.select(_argument(raw), readonly=True)
        if kind != "OK":
            raise self._closed_folder(raw, answered)
        _, validity = server.response("UIDVALIDITY")
        if not validity or validity[0] is None:
            raise SourceRefused("The mailbox's server does not number messages lastingly; it cannot be mirrored.")
        self._opened = (raw, int(validity[0]))
        return self._opened[1]

    def _uids(self, server: _Tls | _Plain) -> set[int]:
        """Every UID of the open folder."""
        if "ESEARCH" in server.capabilities:
            # RFC 4731: a set of ranges, where SEARCH would write each number on one line.
            self._uid(server, "SEARCH", "RETURN", "(ALL)", "ALL")
            _, answered = server.response("ESEARCH")
            found = re.search(rb"\bALL ([0-9:,]+)", _text(answered))
            return read_ranges(found[1].decode()) if found else set()
        return {message.uid for message in _messages(self._command(server, "FETCH", "1:*", "(UID)"))}

    def _command(
        self, server: _Tls | _Plain, name: str, uids: str, items: str, limit: int = LISTING_BYTES
    ) -> list[Any]:
        return self._uid(server, name, uids, items, limit=limit)

    def _uid(self, server: _Tls | _Plain, *words: str, limit: int = LISTING_BYTES) -> list[Any]:
        server.allowance = limit + _ENVELOPE_BYTES
        try:
            kind, answered = server.uid(*words)
        finally:
            server.allowance = LISTING_BYTES
        if kind != "OK":
            raise Transient(f"The mailbox did not carry out {words[0]}.")
        return answered

    def _closed_folder(self, raw: str, answered: list[Any]) -> Exception:
        if b"[NONEXISTENT]" in _text(answered) or b"doesn't exist" in _text(answered):
            return NotFound("folder of the mailbox", decoded(raw))
        if any(code in _text(answered) for code in _FOR_NOW):
            return Transient("The mailbox cannot open a folder at the moment.")
        return SourceRefused(
            "The mailbox's server does not let its user open a folder that it lists; give the right to read it, or "
            "leave the folder out with `exclude`."
        )

    def _too_large(self) -> UnreadableDocument:
        return UnreadableDocument("too_large", f"It is longer than the limit of {self._limit:,} bytes; split it.")

    @contextmanager
    def _answering(self) -> Iterator[_Tls | _Plain]:
        """The server, signed in; what goes wrong with it is told in our words, and the connection given up."""
        try:
            if self._server is None:
                self._server = self._signed_in()
            self._server.allowance = LISTING_BYTES
            yield self._server
        except ssl.SSLCertVerificationError as error:
            self._drop()
            raise SourceRefused(
                f"The certificate of {self._settings.host} is not trusted ({error.verify_message}); have it renewed, "
                "or name the authority's certificate in `ca_file`."
            ) from error
        except (imaplib.IMAP4.error, OSError, EOFError, _TooMuch) as error:
            self._drop()
            # What the server said may hold a folder's name or worse.
            raise Transient(f"The mailbox at {self._settings.host} cannot be reached ({type(error).__name__}).") from (
                error if isinstance(error, OSError) else None
            )

    def _signed_in(self) -> _Tls | _Plain:
        settings = self._settings
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        server: _Tls | _Plain
        if settings.security == "tls":
            server = _Tls(settings.host, settings.reached_at, ssl_context=context, timeout=TIMEOUT_S)
        else:
            server = _Plain(settings.host, settings.reached_at, timeout=TIMEOUT_S)
        try:
            if settings.security == "starttls":
                server.starttls(context)
            self._sign_in(server)
            # What it can do may differ once one is signed in.
            _, answered = server.capability()
            server.capabilities = tuple(_text(answered).decode("ascii", "replace").upper().split())
        except BaseException:
            _hang_up(server)
            raise
        return server

    def _sign_in(self, server: _Tls | _Plain) -> None:
        user, password = self._settings.user, self._secret.get_secret_value()
        token = self._token() if self._settings.oauth_token_url else None
        try:
            if token is not None:
                # https://developers.google.com/workspace/gmail/imap/xoauth2-protocol, which Microsoft follows.
                said = [f"user={user}\x01auth=Bearer {token}\x01\x01".encode()]
                # A server that refuses says why, and waits for an empty answer.
                server.authenticate("XOAUTH2", lambda _: said.pop() if said else b"")
            elif "AUTH=PLAIN" in server.capabilities:
                # LOGIN takes ASCII only.
                server.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
            else:
                server.login(user, password)
        except imaplib.IMAP4.abort:
            raise
        except (imaplib.IMAP4.error, UnicodeEncodeError) as error:
            if any(code.decode() in str(error) for code in _FOR_NOW):
                raise Transient(f"{self._settings.host} lets nobody sign in at the moment.") from None
            # Not the server's words, nor what they answer to.
            raise SourceRefused(
                f"{self._settings.host} refused the user or the password of the mailbox; renew the secret. Where "
                "one signs in with a second factor, it is a password for applications; with OAuth, let the application "
                "read the mailbox."
            ) from None

    def _token(self) -> str:
        """A token for the application itself (RFC 6749, 4.4); raises `SourceRefused` where none is given."""
        settings = self._settings
        issuer = Api("The issuer of tokens", settings.oauth_token_url or "", {}, "the client secret", self._patience)
        form = {
            "grant_type": "client_credentials",
            "client_id": settings.oauth_client_id,
            "client_secret": self._secret.get_secret_value(),
            "scope": settings.oauth_scope,
        }
        refusals = frozenset({400, 401, 403})
        with closing(issuer):
            answer = issuer.request("POST", settings.oauth_token_url or "", form=form, accepted=refusals)
        if answer.status in refusals:
            # Its own words may hold what was sent.
            raise SourceRefused(
                f"No token was given ({answer.status}). Renew the client secret, or correct `oauth_client_id` and "
                "`oauth_token_url`."
            )
        return str(answer.json["access_token"])

    def _drop(self) -> None:
        server, self._server, self._opened = self._server, None, None
        if server is not None:
            _hang_up(server)


def open_imap(settings: ImapSettings, secret: SecretStr | None, max_document_bytes: int = 100_000_000) -> Imap:
    """A mailbox; raises `SourceRefused` without a password."""
    if secret is None:
        raise SourceRefused("A mailbox needs its password as the secret.")
    return Imap(settings, secret, max_document_bytes=max_document_bytes)


class _TooMuch(Exception):
    """The server sends more than was asked for."""


class _Bounded(imaplib.IMAP4):
    """A connection that takes no more bytes for one command than are allowed."""

    allowance = LISTING_BYTES

    def read(self, size: int) -> bytes:
        self._take(size)
        return super().read(size)

    def readline(self) -> bytes:
        line = super().readline()
        self._take(len(line))
        return line

    def _take(self, size: int) -> None:
        self.allowance -= size
        if self.allowance < 0:
            raise _TooMuch


class _Plain(_Bounded):
    pass


class _Tls(_Bounded, imaplib.IMAP4_SSL):
    pass


@dataclass(frozen=True)
class _Place:
    """A folder as the server writes its name, and its attributes in small letters."""

    raw: str
    delimiter: str
    flags: frozenset[str]

    def uses(self, are_told: bool) -> set[Use]:
        if are_told:
            return {use for flag, use in _USES.items() if flag in self.flags}
        leaf = decoded(self.raw).rpartition(self.delimiter)[2] if self.delimiter else decoded(self.raw)
        usual = _USUAL_NAMES.get(leaf.lower())
        return {usual} if usual else set()


@dataclass(frozen=True)
class _Message:
    uid: int
    size: int
    literal: bytes


def _hang_up(server: _Tls | _Plain) -> None:
    try:
        server.shutdown()
    except OSError:
        pass


def _messages(answered: Sequence[Any]) -> Iterator[_Message]:
    """The messages of a FETCH's answer; what the server adds unasked (flags that changed) is none."""
    text, literal = b"", b""
    for part in answered:
        if isinstance(part, tuple):
            text, literal = text + part[0], part[1]
        elif isinstance(part, bytes):
            text += part
            uid, size = re.search(rb"\bUID (\d+)", text), re.search(rb"\bRFC822\.SIZE (\d+)", text)
            if uid:
                yield _Message(int(uid[1]), int(size[1]) if size else 0, literal)
            text, literal = b"", b""


def _places(answered: Sequence[Any]) -> Iterator[_Place]:
    for part in answered:
        line, literal = (part[0], part[1]) if isinstance(part, tuple) else (part, None)
        found = _FOLDER.match(line) if isinstance(line, bytes) else None
        if found is None:
            continue
        # RFC 6855 apart, which we do not enable, names are ASCII; what is not is a server's mistake.
        raw = (literal if literal is not None else found["name"].strip()).decode("utf-8", "replace")
        flags = frozenset(found["flags"].decode("ascii", "replace").lower().split())
        delimiter = unquoted(f'"{(found["delimiter"] or b"").decode("ascii", "replace")}"')
        yield _Place(raw if literal is not None else unquoted(raw), delimiter, flags)


def _argument(raw: str) -> str:
    try:
        return quoted(raw)
    except ValueError as error:
        raise SourceRefused(
            "A folder of the mailbox has a name that no command can hold; rename it or leave it out with `exclude`."
        ) from error


def _text(answered: Iterable[Any]) -> bytes:
    parts = (part if isinstance(part, tuple) else (part,) for part in answered)
    return b" ".join(piece for part in parts for piece in part if isinstance(piece, bytes))


def _batches(uids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (uids[start : start + size] for start in range(0, len(uids), size))
