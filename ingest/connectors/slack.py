"""A Slack workspace by its Web API: threads, the days of channels, and files, readable by who is in the channel."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from core.errors import NotFound, SourceRefused, Transient
from core.principals import Grantee, GranteeKind
from governance.access.rules import AccessLists, Decision
from ingest.connectors.api import Patience
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.protocol import Account, Group, Listed, Page, denied
from ingest.connectors.slack_api import SlackApi, SlackFailed
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
    moment,
    page,
    starts_at,
    title_of,
)
from ingest.connectors.slack_settings import SlackSettings

_VERSION = 1
_KEPT = ("hosted", "snippet")
"""Modes of files whose bytes Slack keeps; canvases and lists are pages of its own, external ones stand elsewhere."""
_FILES = "files/"


class Slack:
    """What the bot's channels hold.

    A thread is a document (`C0CHANNEL/1700000000.000100`), the other messages of a day in a channel (by UTC) are one
    (`C0CHANNEL/2026-01-31`), and so is each file (`files/F0FILE`). Who may read is who belongs to the group of the
    channel, `slack:TEAM|CHANNEL`: its members, and for a public channel the workspace's full members,
    `slack:TEAM|TEAM`. When somebody leaves, or a channel becomes private, groups change and documents do not.
    """

    mirrors_permissions = True

    def __init__(
        self,
        settings: SlackSettings,
        secret: SecretStr,
        patience: Patience | None = None,
        max_document_bytes: int = 100_000_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._limit, self._clock = settings, max_document_bytes, clock
        self._api = SlackApi(settings.base_url, settings.files_url, secret, patience)
        self._team: _Team | None = None
        self._users: dict[str, dict[str, Any]] | None = None
        self._strangers: dict[str, dict[str, Any] | None] = {}
        self._seen: dict[str, _Channel] = {}

    def __repr__(self) -> str:
        return f"Slack({self._settings.base_url!r})"

    def close(self) -> None:
        self._api.close()

    def changes(self, cursor: str | None) -> Iterator[Page]:
        """The last days of every channel, and all of it for a channel that is new to us.

        Everything is listed again after `whole_listing_hours`, which alone shows new replies to threads that began
        before `lookback_days`, and when the bot has been put out of a channel.
        """
        settings = self._settings
        channels = {channel.id: channel for channel in self._channels()}
        chosen = (settings.channels, settings.exclude, settings.direct_messages, settings.files)
        of = fingerprint("slack", _VERSION, self._workspace().id, *chosen)
        known = _SlackCursor(of=of) if cursor is None else read_cursor(_SlackCursor, cursor, of)
        open_ = known.open or self._begun(known, channels)
        names = self._names(channels)
        while open_.todo:
            channel = channels.get(open_.todo[0])
            if channel is None:
                # The bot was put out of it a moment ago; the next sync finds it missing.
                open_ = open_.model_copy(update={"todo": open_.todo[1:], "before": 0, "there": []})
                continue
            try:
                open_ = yield from self._channel_pages(channel, known, open_, names)
            except NotFound as error:
                raise Transient("The bot was put out of a channel of Slack while it was listed.") from error
        if settings.files:
            open_ = yield from self._file_pages(known, open_, channels)
        yield Page((), known.after(open_), whole=open_.whole, last=True)

    def fetch(self, document: Listed) -> bytes:
        place, _, rest = document.external_id.partition("/")
        if document.external_id.startswith(_FILES):
            size, _, address = document.reference.partition(" ")
            return self._api.download(address, int(size), self._limit)
        channel = self._seen.get(place) or self._channel(place)
        names = self._names({channel.id: channel})
        if "." in rest:
            messages = self._thread(place, rest)
            if not any(is_shown(message) for message in messages):
                raise NotFound("thread", document.external_id)
            title = f"#{channel.name}: {title_of(messages[0], names)}"
        else:
            day = date.fromisoformat(rest)
            messages = [
                message
                for some in self._history(place, starts_at(day), starts_at(day + timedelta(days=1)))
                for message in some
                if _stands_alone(message)
            ][::-1]
            if not messages:
                raise NotFound("day", document.external_id)
            title = f"#{channel.name}, {day.isoformat()}"
        return page(title, messages, names)

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        """Who may read each file: whoever may read one of the channels that it is shared in.

        Messages are read by their channel's group, which `groups` tells.
        """
        if not self._settings.files:
            return
        channels = {channel.id: channel for channel in self._channels()}
        for files in self._files(0, None):
            yield [(_FILES + str(file["id"]), self._readers_of(file, channels)) for file in files]

    def groups(self) -> Iterator[Group]:
        """The workspace's full members, and who is in each channel. A guest is in channels alone."""
        self._users, self._strangers = None, {}
        team = self._workspace()
        everybody = [self._user(user) for user in self._people().values() if self._is_full_member(user)]
        yield Group(self._group(team.id), tuple(everybody), team.name)
        for channel in self._channels():
            try:
                members = self._members(channel)
            except (NotFound, SourceRefused, SlackFailed):
                yield Group(self._group(channel.id), (), channel.name, problem="Slack does not tell who is in it")
                continue
            if not channel.is_private:
                members = (self._group(team.id), *members)
            yield Group(self._group(channel.id), members, channel.name)

    def accounts(self) -> Iterator[Account]:
        """The workspace's people who are not deactivated, and those of other workspaces that share its channels."""
        for channel in self._channels():
            if channel.is_shared:
                try:
                    self._members(channel)
                except (NotFound, SourceRefused, SlackFailed):
                    continue
        for user in [*self._people().values(), *filter(None, self._strangers.values())]:
            if is_person(user):
                email = str((user.get("profile") or {}).get("email") or "")
                yield Account(self._user(user), display_name(user), email)

    def _begun(self, known: _SlackCursor, channels: Mapping[str, _Channel]) -> _Pass:
        now = self._clock()
        is_due = now - known.listed_at >= self._settings.whole_listing_hours * 3600
        # Which of our documents stand in a channel that we no longer see, Slack does not tell.
        whole = known.since == 0 or is_due or not known.channels <= channels.keys()
        return _Pass(whole=whole, begun=now, channels=set(channels), todo=sorted(channels))

    def _channel_pages(
        self, channel: _Channel, known: _SlackCursor, open_: _Pass, names: Names
    ) -> Generator[Page, None, _Pass]:
        """One channel's days from the newest to the oldest, each of them whole."""
        is_new = open_.whole or channel.id not in known.channels
        recent = self._window(open_.begun)
        oldest = 0 if is_new else self._window(known.since)
        listed: list[Listed] = []
        there = list(open_.there)
        for day, messages in _by_day(self._history(channel.id, oldest, open_.before)):
            documents = list(self._day(channel, day, messages, names))
            listed += documents
            if not is_new or starts_at(day) >= recent:
                there += [one.external_id.partition("/")[2] for one in documents]
            if len(listed) >= self._settings.page_messages:
                reached = open_.model_copy(update={"before": starts_at(day), "there": there})
                yield Page(listed, known.written(reached), whole=open_.whole)
                listed = []
        gone = () if is_new else self._gone(channel, known, open_, oldest, there)
        threads = {channel.id: [one for one in there if "." in one and int(one.partition(".")[0]) >= recent]}
        done = {"todo": open_.todo[1:], "before": 0, "there": [], "threads": open_.threads | threads}
        reached = open_.model_copy(update=done)
        yield Page(listed, known.written(reached), gone=gone, whole=open_.whole)
        return reached

    def _gone(
        self, channel: _Channel, known: _SlackCursor, open_: _Pass, oldest: int, there: Sequence[str]
    ) -> tuple[str, ...]:
        """The days and threads of the time that was looked at that are not there; whether we had a day is no matter."""
        first, last = day_of(str(oldest)), day_of(str(int(open_.begun)))
        days = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
        ids = (*days, *known.threads.get(channel.id, ()))
        return tuple(f"{channel.id}/{one}" for one in ids if one not in there)

    def _day(self, channel: _Channel, day: date, messages: Sequence[Message], names: Names) -> Iterator[Listed]:
        access = self._readers((channel,))
        alone = [message for message in messages if _stands_alone(message)]
        if alone:
            yield Listed(
                f"{channel.id}/{day.isoformat()}",
                file_name(channel.name, day.isoformat()),
                self._address(channel, alone[-1]),
                digest(alone),
                access,
            )
        for message in filter(begins_thread, messages):
            yield Listed(
                f"{channel.id}/{message['ts']}",
                file_name(channel.name, title_of(message, names)),
                self._address(channel, message),
                self._thread_revision(channel, message),
                access,
            )

    def _thread_revision(self, channel: _Channel, message: Message) -> str:
        """What differs when a thread does; an edited reply shows only where the replies are read."""
        latest = str(message.get("latest_reply") or message["ts"])
        replies = ""
        if self._clock() - moment(latest).timestamp() <= self._settings.edits_within_days * 86400:
            try:
                replies = digest(self._thread(channel.id, message["ts"])[1:])
            except NotFound:
                pass  # deleted a moment ago; the next sync finds it gone
        return digest([message], message.get("reply_count"), latest, replies)

    def _thread(self, channel_id: str, ts: str) -> list[dict[str, Any]]:
        """The messages of a thread in their order, the one that began it first."""
        params = {"channel": channel_id, "ts": ts, "limit": self._settings.page_messages}
        # The first may come again with each page.
        pages = self._api.pages("conversations.replies", "messages", params)
        found = {str(message["ts"]): message for some in pages for message in some}
        return [found[ts] for ts in sorted(found)]

    def _history(self, channel_id: str, oldest: int, latest: int) -> Iterator[list[dict[str, Any]]]:
        """Messages from the newest to the oldest, replies in threads left out by Slack; none at `latest` itself."""
        params: dict[str, Any] = {"channel": channel_id, "limit": self._settings.page_messages}
        if oldest:
            # Slack's limits are exclusive.
            params["oldest"] = f"{oldest - 1}.999999"
        if latest:
            params["latest"] = f"{latest}.000000"
        return self._api.pages("conversations.history", "messages", params)

    def _file_pages(
        self, known: _SlackCursor, open_: _Pass, channels: Mapping[str, _Channel]
    ) -> Generator[Page, None, _Pass]:
        recent = self._window(open_.begun)
        seen = dict(open_.files)
        for files in self._files(0 if open_.whole else self._window(known.since), open_.files_to):
            # Those of the last second of a page come again on the next one.
            listed = [self._file(file, channels) for file in files if str(file["id"]) not in seen]
            listed = [one for one in listed if one.access is not None and one.access.lists.allow]
            last = min(int(file["created"]) for file in files)
            now = {str(file["id"]): int(file["created"]) for file in files}
            seen = {key: created for key, created in (seen | now).items() if created >= recent or created == last}
            open_ = open_.model_copy(update={"files": seen, "files_to": last})
            yield Page(listed, known.written(open_), whole=open_.whole)
        open_ = open_.model_copy(update={"files": {key: made for key, made in seen.items() if made >= recent}})
        gone = () if open_.whole else tuple(_FILES + one for one in sorted(known.files - open_.files.keys()))
        if gone:
            yield Page((), known.written(open_), gone=gone, whole=open_.whole)
        return open_

    def _files(self, oldest: int, latest: int | None) -> Iterator[list[dict[str, Any]]]:
        """Files from the newest to the oldest.

        Slack numbers the pages, and an upload or a deletion moves what stands on them: so each page is asked for by
        the time at which the one before has ended.
        """
        number = 1
        while True:
            params: dict[str, Any] = {"count": self._settings.page_messages, "page": number, "ts_from": oldest}
            if latest is not None:
                params["ts_to"] = latest
            answer = self._api.call("files.list", params)
            files = list(answer.get("files") or ())
            if not files:
                return
            kept = [file for file in files if file.get("mode") in _KEPT and not file.get("is_external")]
            if kept:
                yield kept
            if number >= int((answer.get("paging") or {}).get("pages") or 0):
                return
            last = min(int(file["created"]) for file in files)
            number, latest = (number + 1, latest) if last == latest else (1, last)

    def _file(self, file: Mapping[str, Any], channels: Mapping[str, _Channel]) -> Listed:
        size, address = int(file.get("size") or 0), file.get("url_private_download") or file.get("url_private")
        return Listed(
            external_id=_FILES + str(file["id"]),
            name=str(file.get("name") or file.get("title") or file["id"]),
            uri=str(file.get("permalink") or ""),
            revision=f"{file['created']}.{size}.{file.get('edit_timestamp') or file.get('updated') or 0}",
            access=self._readers_of(file, channels),
            reference=f"{size} {address}",
        )

    def _readers_of(self, file: Mapping[str, Any], channels: Mapping[str, _Channel]) -> Decision:
        ids = [*file.get("channels", ()), *file.get("groups", ()), *file.get("ims", ())]
        shared = [channels[one] for one in ids if one in channels]
        return self._readers(shared) if shared else denied("it is shared in no channel that is brought in")

    def _readers(self, channels: Sequence[_Channel]) -> Decision:
        """Whoever may read one of the channels. A link that is open to the world lets nobody in."""
        groups = frozenset(self._group(channel.id) for channel in channels)
        return Decision(AccessLists(groups), f"Slack: who may read {', '.join(sorted(one.id for one in channels))}")

    def _channels(self) -> Iterator[_Channel]:
        """The channels that the bot is in, archived ones too."""
        types = "public_channel,private_channel" + (",im,mpim" if self._settings.direct_messages else "")
        params = {"types": types, "limit": 200}
        for some in self._api.pages("users.conversations", "channels", params):
            for found in some:
                channel = self._described(found)
                if self._is_wanted(channel):
                    self._seen[channel.id] = channel
                    yield channel

    def _channel(self, channel_id: str) -> _Channel:
        return self._described(self._api.call("conversations.info", {"channel": channel_id})["channel"])

    def _described(self, found: Mapping[str, Any]) -> _Channel:
        direct = bool(found.get("is_im"))
        name = f"with {self._names({}).person(str(found.get('user')))}" if direct else str(found.get("name") or "")
        shared = any(found.get(flag) for flag in ("is_ext_shared", "is_org_shared", "is_shared"))
        private = direct or any(found.get(flag) for flag in ("is_private", "is_mpim", "is_group"))
        return _Channel(str(found["id"]), name or str(found["id"]), private, shared)

    def _is_wanted(self, channel: _Channel) -> bool:
        def named(patterns: Sequence[str]) -> bool:
            return any(fnmatchcase(channel.name, pattern) or pattern == channel.id for pattern in patterns)

        return named(self._settings.channels) and not named(self._settings.exclude)

    def _members(self, channel: _Channel) -> tuple[Grantee, ...]:
        params = {"channel": channel.id, "limit": 200}
        ids = [str(one) for some in self._api.pages("conversations.members", "members", params) for one in some]
        users = [self._people().get(one) or self._stranger(one) for one in ids]
        return tuple(self._user(user) for user in users if user is not None and is_person(user))

    def _people(self) -> dict[str, dict[str, Any]]:
        if self._users is None:
            found = self._api.pages("users.list", "members", {"limit": 200})
            self._users = {str(user["id"]): user for some in found for user in some}
        return self._users

    def _stranger(self, user_id: str) -> dict[str, Any] | None:
        """Somebody of another workspace; None, and so nobody, where Slack does not tell who it is."""
        if user_id not in self._strangers:
            try:
                self._strangers[user_id] = self._api.call("users.info", {"user": user_id})["user"]
            except NotFound:
                self._strangers[user_id] = None
        return self._strangers[user_id]

    def _is_full_member(self, user: Mapping[str, Any]) -> bool:
        is_guest = user.get("is_restricted") or user.get("is_ultra_restricted") or user.get("is_stranger")
        is_invited = user.get("is_invited_user")
        return is_person(user) and not is_guest and not is_invited and self._team_of(user) == self._workspace().id

    def _user(self, user: Mapping[str, Any]) -> Grantee:
        return Grantee(GranteeKind.USER, f"slack:{self._team_of(user)}", str(user["id"]))

    def _team_of(self, user: Mapping[str, Any]) -> str:
        return str(user.get("team_id") or self._workspace().id)

    def _group(self, subject: str) -> Grantee:
        return Grantee(GranteeKind.GROUP, f"slack:{self._workspace().id}", subject)

    def _names(self, channels: Mapping[str, _Channel]) -> Names:
        people = {key: display_name(user) for key, user in self._people().items()}
        people |= {key: display_name(user) for key, user in self._strangers.items() if user}
        return Names(people, {key: channel.name for key, channel in channels.items()})

    def _workspace(self) -> _Team:
        if self._team is None:
            found = self._api.call("auth.test")
            address = str(found.get("url") or "https://app.slack.com/").rstrip("/") + "/"
            if not found.get("team_id"):
                raise Transient("Slack does not tell which workspace the token belongs to.")
            self._team = _Team(str(found["team_id"]), str(found.get("team") or found["team_id"]), address)
        return self._team

    def _address(self, channel: _Channel, message: Message) -> str:
        return f"{self._workspace().address}archives/{channel.id}/p{message['ts'].replace('.', '')}"

    def _window(self, since: float) -> int:
        return starts_at(day_of(str(max(0, int(since - self._settings.lookback_days * 86400)))))


def open_slack(settings: SlackSettings, secret: SecretStr | None, max_document_bytes: int = 100_000_000) -> Slack:
    """A workspace; raises `SourceRefused` without a token."""
    if secret is None:
        raise SourceRefused("Slack needs the bot's token (xoxb-…) as the secret.")
    return Slack(settings, secret, max_document_bytes=max_document_bytes)


class _Pass(BaseModel):
    """A pass over all channels that is not at its end.

    `before` is the first second of the last day that was taken of the channel `todo[0]`, `there` what stands in it;
    `threads` and `files` are those of the last days, and `files_to` is when the last file that was taken was shared.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    whole: bool
    begun: float
    channels: set[str]
    todo: list[str]
    before: int = 0
    there: list[str] = Field(default_factory=list)
    threads: dict[str, list[str]] = Field(default_factory=dict)
    files: dict[str, int] = Field(default_factory=dict)
    files_to: int | None = None


class _SlackCursor(Cursor):
    """What the last pass that came to its end has found, `since` when it began, and the pass that is open.

    `listed_at` is when the last listing of everything began.
    """

    since: float = 0
    listed_at: float = 0
    channels: set[str] = Field(default_factory=set)
    threads: dict[str, list[str]] = Field(default_factory=dict)
    files: set[str] = Field(default_factory=set)
    open: _Pass | None = None

    def written(self, open_: _Pass) -> str:
        return str(self.model_copy(update={"open": open_}))

    def after(self, done: _Pass) -> str:
        """The cursor when a pass has come to its end."""
        listed_at = done.begun if done.whole else self.listed_at
        return str(
            _SlackCursor(
                of=self.of,
                since=done.begun,
                listed_at=listed_at,
                channels=done.channels,
                threads=done.threads,
                files=set(done.files),
            )
        )


@dataclass(frozen=True)
class _Team:
    id: str
    name: str
    address: str


@dataclass(frozen=True)
class _Channel:
    """A channel or a direct message; one that `is_shared` may have members of other workspaces."""

    id: str
    name: str
    is_private: bool
    is_shared: bool


def _by_day(pages: Iterator[Sequence[Message]]) -> Iterator[tuple[date, list[Message]]]:
    """Messages from the newest to the oldest, by their days."""
    day, messages = None, list[Message]()
    for some in pages:
        for message in some:
            if day_of(message["ts"]) != day:
                if day is not None:
                    yield day, messages
                day, messages = day_of(message["ts"]), []
            messages.append(message)
    if day is not None:
        yield day, messages


def _stands_alone(message: Message) -> bool:
    return is_shown(message) and not is_reply(message) and not begins_thread(message)
