"""What Slack's export gives, as a ZIP file or unpacked: the same documents as a workspace's, without its files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from core.principals import Grantee, GranteeKind
from governance.access.rules import AccessLists, Decision
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.protocol import Account, CursorExpired, Group, Listed, Page
from ingest.connectors.slack_messages import (
    Message,
    Names,
    begins_thread,
    day_of,
    digest,
    display_name,
    file_name,
    is_person,
    is_reply,
    is_shown,
    page,
    title_of,
)

FILE_BYTES = 64 * 1024 * 1024
"""The most that one file of an export may hold: a day of a channel, or the list of all people."""
MEMBERS = 2_000_000
"""Files of one export: a day of a channel each."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.json")
_ID = re.compile(r"[A-Z0-9]{1,32}")
# Which channels a list holds, and whether they are private.
_LISTS = (("channels.json", False), ("groups.json", True))
_DIRECT_LISTS = (("mpims.json", True), ("dms.json", True))


class SlackExportSettings(BaseModel):
    """Which export is read, and which of its channels are brought in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(description="the ZIP file that Slack gave, or the folder that it was unpacked to")
    team_id: str | None = Field(None, pattern=_ID.pattern, description="the workspace's id, if the export has none")
    workspace_url: str = Field("https://app.slack.com/", description="where people open the workspace")
    channels: tuple[str, ...] = Field(("*",), description="patterns of channels' names, or ids, to bring in")
    exclude: tuple[str, ...] = Field((), description="patterns of channels' names, or ids, to leave out")
    direct_messages: bool = Field(False, description="bring in direct messages, where the export has them")
    page_documents: int = Field(500, ge=1, le=10_000, description="documents listed at once")


class SlackExport:
    """One export. Its people are those of the workspace; its channels' groups are its own.

    Who was in a channel on the day of the export may have left since, so nothing here fills the groups that the
    workspace itself tells: `slack-export:TEAM:EXPORT|CHANNEL` stands beside `slack:TEAM|CHANNEL`.
    """

    mirrors_permissions = True

    def __init__(self, settings: SlackExportSettings, max_document_bytes: int = 100_000_000) -> None:
        self._settings, self._limit = settings, max_document_bytes

    def __repr__(self) -> str:
        return f"SlackExport({str(self._settings.path)!r})"

    def close(self) -> None:
        """Nothing is kept open."""

    def changes(self, cursor: str | None) -> Iterator[Page]:
        """Everything, where the export is another than it was; nothing else. Raises `CursorExpired`."""
        settings = self._settings
        with self._opened() as export:
            state = export.state()
            workspace = self._workspace(export)
            chosen = (settings.path, settings.channels, settings.exclude, settings.direct_messages)
            of = fingerprint("slack-export", 1, workspace.team, *chosen)
            known = None if cursor is None else read_cursor(_ExportCursor, cursor, of)
            if known is not None and known.todo is None and known.state == state:
                yield Page((), str(known), last=True)
                return
            if known is None or known.todo is None:
                known = _ExportCursor(of=of, state=state, todo=sorted(workspace.channels))
            elif known.state != state:
                raise CursorExpired("The export was replaced while it was being listed.")
            yield from self._pages(export, workspace, known)

    def fetch(self, document: Listed) -> bytes:
        place, _, rest = document.external_id.partition("/")
        with self._opened() as export:
            workspace = self._workspace(export)
            channel = workspace.channels.get(place)
            if channel is None:
                raise NotFound("channel", document.external_id)
            found = [
                message
                for name in document.reference.split()
                for message in _messages(export.read(f"{channel.folder}/{name}"))
                if _belongs(message) == rest
            ]
        if not found:
            raise NotFound("document of the export", document.external_id)
        found.sort(key=lambda message: str(message["ts"]))
        names = workspace.names()
        title = f"#{channel.name}, {rest}"
        if "." in rest:
            # The message that began a thread may be older than the export reaches.
            title = f"#{channel.name}: {title_of(found[0], names) if found[0]['ts'] == rest else 'Thread'}"
        data = page(title, found, names)
        if len(data) > self._limit:
            raise UnreadableDocument("too_large", f"It is longer than the limit of {self._limit:,} bytes; split it.")
        return data

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        """None by document: who is in a channel is told by its group."""
        return iter(())

    def groups(self) -> Iterator[Group]:
        with self._opened() as export:
            workspace = self._workspace(export)
        people = [user for user in workspace.people.values() if _is_full_member(user, workspace.team)]
        everybody = self._group(workspace, workspace.team)
        yield Group(everybody, tuple(_user(user, workspace.team) for user in people), workspace.team)
        for channel in workspace.channels.values():
            group = self._group(workspace, channel.id)
            if channel.members is None:
                yield Group(group, (), channel.name, problem="the export does not tell who is in it")
                continue
            users = [workspace.people[one] for one in channel.members if one in workspace.people]
            members = tuple(_user(user, workspace.team) for user in users if is_person(user))
            yield Group(group, members if channel.is_private else (everybody, *members), channel.name)

    def accounts(self) -> Iterator[Account]:
        with self._opened() as export:
            workspace = self._workspace(export)
        for user in filter(is_person, workspace.people.values()):
            email = str((user.get("profile") or {}).get("email") or "")
            yield Account(_user(user, workspace.team), display_name(user), email)

    def _pages(self, export: _Export, workspace: _Workspace, known: _ExportCursor) -> Iterator[Page]:
        names = workspace.names()
        todo = list(known.todo or ())
        skipped = known.skip
        while todo:
            listed, refused = self._listed(export, workspace, workspace.channels[todo[0]], names)
            size = self._settings.page_documents
            for start in range(skipped, len(listed), size):
                end = start + size
                reached = known.model_copy(update={"todo": todo, "skip": end})
                yield Page(listed[start:end], str(reached), whole=True)
            todo, skipped = todo[1:], 0
            if refused:
                yield Page((), str(known.model_copy(update={"todo": todo, "skip": 0})), whole=True, refused=refused)
        yield Page((), str(known.model_copy(update={"todo": None, "skip": 0})), whole=True, last=True)

    def _listed(
        self, export: _Export, workspace: _Workspace, channel: _Channel, names: Names
    ) -> tuple[list[Listed], list[tuple[str, str]]]:
        """The documents of a channel in a fixed order; a day's file that cannot be read is named with the reason."""
        drafts: dict[str, _Draft] = {}
        refused: list[tuple[str, str]] = []
        for name in export.days(channel.folder):
            try:
                messages = _messages(export.read(f"{channel.folder}/{name}"))
            except UnreadableDocument as error:
                refused.append((f"{channel.id}/{name.removesuffix('.json')}", error.reason))
                continue
            for message in messages:
                if (key := _belongs(message)) is not None:
                    drafts.setdefault(key, _Draft(message)).take(message, name)
        access = self._access(workspace, channel)
        place = f"{self._settings.workspace_url.rstrip('/')}/archives/{channel.id}"
        return [
            Listed(
                f"{channel.id}/{key}",
                file_name(channel.name, draft.title(key, names)),
                f"{place}/p{draft.first['ts'].replace('.', '')}",
                draft.digest.hexdigest()[:32],
                access,
                " ".join(sorted(draft.files)),
            )
            for key, draft in sorted(drafts.items())
            if draft.is_shown
        ], refused

    def _access(self, workspace: _Workspace, channel: _Channel) -> Decision:
        lists = AccessLists(frozenset({self._group(workspace, channel.id)}))
        return Decision(lists, f"Slack's export: who was in {channel.id}")

    def _group(self, workspace: _Workspace, subject: str) -> Grantee:
        export = fingerprint(self._settings.path)[:8]
        return Grantee(GranteeKind.GROUP, f"slack-export:{workspace.team}:{export}", subject)

    def _opened(self) -> _Export:
        path = self._settings.path
        try:
            return _Folder(path) if path.is_dir() else _Zip(path)
        except FileNotFoundError as error:
            # It may be on a disk that is not there at the moment; that is no reason to forget its messages.
            raise Transient(f"{path} is not there.") from error
        except PermissionError as error:
            raise SourceRefused(f"{path} may not be read; give the service the right to read it.") from error
        except OSError as error:
            raise Transient(f"{path} cannot be read ({error.strerror}).") from error

    def _workspace(self, export: _Export) -> _Workspace:
        people: dict[str, dict[str, Any]] = {}
        for name in ("org_users.json", "users.json"):
            people |= {str(user["id"]): user for user in export.listed(name) if _ID.fullmatch(str(user.get("id")))}
        teams = Counter(str(user["team_id"]) for user in people.values() if user.get("team_id"))
        team = self._settings.team_id or next((one for one, _ in teams.most_common(1)), "")
        if not people or not _ID.fullmatch(team):
            raise SourceRefused(
                f"{self._settings.path} has no users.json that tells the workspace: name an export of Slack, or its "
                "workspace in `team_id`."
            )
        channels: dict[str, _Channel] = {}
        for name, is_private in _LISTS + (_DIRECT_LISTS if self._settings.direct_messages else ()):
            for found in export.listed(name):
                channel = _Channel.of(found, is_private)
                if channel is not None and self._is_wanted(channel):
                    channels[channel.id] = channel
        return _Workspace(team, people, channels)

    def _is_wanted(self, channel: _Channel) -> bool:
        def named(patterns: Sequence[str]) -> bool:
            return any(fnmatchcase(channel.name, pattern) or pattern == channel.id for pattern in patterns)

        return named(self._settings.channels) and not named(self._settings.exclude)


def open_slack_export(
    settings: SlackExportSettings, secret: SecretStr | None, max_document_bytes: int = 100_000_000
) -> SlackExport:
    """An export; it needs no credential."""
    return SlackExport(settings, max_document_bytes)


class _ExportCursor(Cursor):
    """`state` tells the export; `todo` the channels that are still to be listed, None at the end, and `skip` how many
    documents of the first were."""

    state: str
    todo: list[str] | None
    skip: int = 0


@dataclass(frozen=True)
class _Channel:
    """A channel, the folder of its days, and who was in it (None where that is not told)."""

    id: str
    name: str
    folder: str
    is_private: bool
    members: tuple[str, ...] | None

    @classmethod
    def of(cls, found: Mapping[str, Any], is_private: bool) -> _Channel | None:
        key = str(found.get("id"))
        name = str(found.get("name") or key)
        if not _ID.fullmatch(key) or name in ("", ".", "..") or re.search(r"[/\\\x00]", name):
            return None
        members = found.get("members")
        known = tuple(str(one) for one in members) if isinstance(members, list) else None
        return cls(key, name, name, is_private or bool(found.get("is_private")), known)


@dataclass(frozen=True)
class _Workspace:
    team: str
    people: Mapping[str, Mapping[str, Any]]
    channels: Mapping[str, _Channel]

    def names(self) -> Names:
        people = {key: display_name(user) for key, user in self.people.items()}
        return Names(people, {key: channel.name for key, channel in self.channels.items()})


@dataclass
class _Draft:
    """What is known of a document while a channel's days are read: where its messages stand, and their hash."""

    first: Message
    files: set[str] = field(default_factory=set)
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    is_shown: bool = False

    def take(self, message: Message, name: str) -> None:
        self.files.add(name)
        self.digest.update(digest([message]).encode())
        self.is_shown = self.is_shown or is_shown(message)

    def title(self, key: str, names: Names) -> str:
        if "." not in key:
            return key
        return title_of(self.first, names) if self.first["ts"] == key else "Thread"


class _Export(ABC):
    """The files of an export; opened for as long as a `with` lasts."""

    def __enter__(self) -> _Export:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of files that are open."""

    @abstractmethod
    def state(self) -> str:
        """What differs when the export is another."""

    @abstractmethod
    def days(self, folder: str) -> list[str]:
        """The files of a channel's days, in order."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A file of the export. Raises `NotFound`, and `UnreadableDocument` for one that no export has."""

    def listed(self, name: str) -> list[dict[str, Any]]:
        """One of the export's lists; empty where it has none."""
        try:
            data = self.read(name)
        except NotFound:
            return []
        try:
            return _objects(data)
        except UnreadableDocument as error:
            raise SourceRefused(f"The export's {name} cannot be read: {error.reason}") from error


class _Folder(_Export):
    def __init__(self, path: Path) -> None:
        self._path = path

    def close(self) -> None:
        """None is."""

    def state(self) -> str:
        found = []
        for folder, folders, files in os.walk(self._path):
            folders.sort()
            for file in sorted(files):
                stat = (Path(folder) / file).lstat()
                found.append((os.path.relpath(folder, self._path), file, stat.st_size, stat.st_mtime_ns))
        return fingerprint(*found)

    def days(self, folder: str) -> list[str]:
        place = self._path / folder
        if place.is_symlink() or not place.is_dir():
            return []
        return sorted(file.name for file in place.iterdir() if _DAY.fullmatch(file.name) and not file.is_symlink())

    def read(self, name: str) -> bytes:
        path = self._path / name
        if path.is_symlink() or not path.is_file():
            raise NotFound("file of the export", name)
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
        return _bounded(data, len(data))


class _Zip(_Export):
    def __init__(self, path: Path) -> None:
        stat = path.stat()
        self._state = fingerprint(stat.st_size, stat.st_mtime_ns)
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise SourceRefused(f"{path} is no ZIP file; name the one that Slack gave.") from error
        names = self._archive.namelist()
        if len(names) > MEMBERS:
            self._archive.close()
            raise SourceRefused(f"{path} holds {len(names):,} files, more than any export.")
        # Packed again, it may have a folder around it.
        roots = [name.removesuffix("users.json") for name in names if name.rpartition("/")[2] == "users.json"]
        self._root = min(roots, key=len, default="")
        self._days: dict[str, list[str]] = {}
        for name in sorted(set(names)):
            folder, _, file = name.removeprefix(self._root).rpartition("/")
            if name.startswith(self._root) and _DAY.fullmatch(file):
                self._days.setdefault(folder, []).append(file)

    def close(self) -> None:
        self._archive.close()

    def state(self) -> str:
        return self._state

    def days(self, folder: str) -> list[str]:
        return self._days.get(folder, [])

    def read(self, name: str) -> bytes:
        try:
            info = self._archive.getinfo(self._root + name)
        except KeyError as error:
            raise NotFound("file of the export", name) from error
        if info.flag_bits & 0x1:
            raise UnreadableDocument("encrypted", "The export is protected by a password; save it without one.")
        # zipfile never yields more bytes than declared.
        _bounded(b"", info.file_size)
        try:
            return self._archive.read(info)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError) as error:
            raise UnreadableDocument("malformed", "The export is damaged; download it again.") from error


def _bounded(data: bytes, size: int) -> bytes:
    if size > FILE_BYTES:
        raise UnreadableDocument("too_large", f"A file of the export is longer than {FILE_BYTES:,} bytes.")
    return data


def _objects(data: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableDocument("malformed", "A file of the export is no JSON; download the export again.") from error
    if not isinstance(found, list):
        raise UnreadableDocument("malformed", "A file of the export holds no list; download the export again.")
    return [one for one in found if isinstance(one, dict)]


def _messages(data: bytes) -> list[dict[str, Any]]:
    return [one for one in _objects(data) if re.fullmatch(r"\d{1,12}\.\d{1,9}", str(one.get("ts")))]


def _belongs(message: Message) -> str | None:
    """The document of its channel that a message stands in: its thread, or its day; None for a notice."""
    if is_reply(message):
        return str(message["thread_ts"])
    if begins_thread(message):
        return str(message["ts"])
    return day_of(str(message["ts"])).isoformat() if is_shown(message) else None


def _is_full_member(user: Mapping[str, Any], team: str) -> bool:
    is_guest = user.get("is_restricted") or user.get("is_ultra_restricted") or user.get("is_stranger")
    return is_person(user) and not is_guest and str(user.get("team_id") or team) == team


def _user(user: Mapping[str, Any], team: str) -> Grantee:
    return Grantee(GranteeKind.USER, f"slack:{user.get('team_id') or team}", str(user["id"]))
