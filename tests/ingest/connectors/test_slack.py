"""A Slack workspace, read from a double of its Web API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from conformance import SECRET, ConnectorContract, PermissionContract, decisions, listing, people, synced
from doubles.slack_archive import BOT, TEAM, SlackArchive, running
from linked import links
from pydantic import SecretStr

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from core.principals import Grantee, GranteeKind
from governance.access.rules import Decision
from ingest.connectors.api import Patience
from ingest.connectors.protocol import Group
from ingest.connectors.slack import Slack, open_slack
from ingest.connectors.slack_settings import SlackSettings
from ingest.parsing.html import parse_html

DAY = 86_400


@pytest.fixture
def archive() -> Iterator[SlackArchive]:
    with running(SECRET) as archive:
        archive.user("U1", "Ana")
        yield archive


class Workspace:
    """Threads in channels of their own: what the suite calls a document is a message with a reply."""

    nests = False

    def __init__(self, archive: SlackArchive) -> None:
        self.archive = archive
        self._waited: list[float] = []
        self._groups: dict[str, list[str]] = {}
        self._channel_of: dict[str, str] = {}

    def connect(self, secret: str = SECRET, **settings: object) -> Slack:
        base = {"base_url": self.archive.base_url, "files_url": self.archive.files_url, "page_messages": 3}
        return Slack(
            SlackSettings.model_validate(base | settings),
            SecretStr(secret),
            Patience(sleep=self._waited.append),
            clock=lambda: self.archive.now,
        )

    def connect_unwelcome(self) -> Slack:
        return self.connect(secret="wrong")

    def add(self, name: str, text: str) -> str:
        channel = self.archive.channel(name.replace(" ", "-"), "U1")
        ts = self.archive.post(channel, "U1", name)
        self.archive.post(channel, "U1", text, thread=ts)
        return f"{channel}/{ts}"

    def change(self, external_id: str, text: str) -> None:
        channel, _, thread = external_id.partition("/")
        reply = next(ts for ts, one in self.archive.messages[channel].items() if one.get("thread_ts") == thread != ts)
        self.archive.edit(channel, reply, text)

    def rename(self, external_id: str, name: str) -> bool:
        self.archive.channels[external_id.partition("/")[0]]["name"] = name
        return True

    def remove(self, external_id: str) -> None:
        channel = external_id.partition("/")[0]
        for ts in sorted(self.archive.messages[channel], reverse=True):
            self.archive.delete(channel, ts)

    def throttle(self, times: int, seconds: float) -> bool:
        self.archive.throttle(times, seconds)
        return True

    def waited(self) -> list[float]:
        return self._waited

    def go_down(self) -> None:
        self.archive.is_down = True

    def come_back(self) -> None:
        self.archive.is_down = False

    def expire_cursors(self) -> bool:
        return False

    def _ids(self, *who: str) -> list[str]:
        found: list[str] = []
        for one in who:
            kind, _, name = one.partition(":")
            if kind == "group":
                found += self._ids(*self._groups[name])
            elif f"U-{name}".upper() not in self.archive.users:
                found.append(self.archive.user(f"U-{name}".upper(), name.title()))
            else:
                found.append(f"U-{name}".upper())
        return found

    def share(self, external_id: str, *who: str) -> None:
        """A channel is made private, with these as its members."""
        channel = external_id.partition("/")[0]
        self.archive.channels[channel]["is_private"] = True
        self.archive.members[channel] = [BOT, *self._ids(*who)]
        for one in who:
            self._channel_of[one] = channel

    def set_group(self, name: str, *members: str) -> None:
        self._groups[name] = list(members)

    def grantee(self, who: str) -> Grantee:
        """In Slack a group of people who may read is a channel."""
        if who.startswith("group:"):
            return group(self._channel_of[who])
        return person(self._ids(who)[0])

    def hide_permissions(self, external_id: str) -> bool:
        self.archive.broken["conversations.members", external_id.partition("/")[0]] = "fetch_members_failed"
        return True


def person(user_id: str, team: str = TEAM) -> Grantee:
    return Grantee(GranteeKind.USER, f"slack:{team}", user_id)


def group(channel: str) -> Grantee:
    return Grantee(GranteeKind.GROUP, f"slack:{TEAM}", channel)


@pytest.fixture
def site(archive: SlackArchive) -> Workspace:
    return Workspace(archive)


class TestThreads(ConnectorContract, PermissionContract):
    """What every source keeps to."""


class OneChannel(Workspace):
    """Messages outside threads, one on each day: what the suite calls a document is a day of one channel."""

    def __init__(self, archive: SlackArchive) -> None:
        super().__init__(archive)
        self.channel = archive.channel("general", "U1")

    def add(self, name: str, text: str) -> str:
        self.archive.now += DAY / 3
        while self._day() in {message_day(ts) for ts in self.archive.messages[self.channel]}:
            self.archive.now += DAY / 3
        self.archive.post(self.channel, "U1", f"{name}: {text}")
        return f"{self.channel}/{self._day()}"

    def _day(self) -> str:
        return message_day(f"{int(self.archive.now) + 1}.0")

    def _messages(self, external_id: str) -> list[str]:
        day = external_id.partition("/")[2]
        return [ts for ts in self.archive.messages[self.channel] if message_day(ts) == day]

    def change(self, external_id: str, text: str) -> None:
        self.archive.edit(self.channel, self._messages(external_id)[0], text)

    def remove(self, external_id: str) -> None:
        for ts in self._messages(external_id):
            self.archive.delete(self.channel, ts)


def message_day(ts: str) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(float(ts), UTC).date().isoformat()


class TestDays(ConnectorContract):
    @pytest.fixture
    def site(self, archive: SlackArchive) -> OneChannel:
        return OneChannel(archive)


def connected_groups(connector: Slack) -> dict[Grantee, Group]:
    return {one.group: one for one in connector.groups()}


def readers(site: Workspace, external_id: str) -> set[Grantee]:
    with closing(site.connect()) as connector:
        return people(decisions(connector)[external_id], connected_groups(connector))


def test_a_public_channel_is_for_full_members_and_those_guests_who_are_in_it(site: Workspace) -> None:
    site.archive.user("UGUEST", "Guest", is_restricted=True)
    site.archive.user("UOTHER", "Other", is_restricted=True, is_ultra_restricted=True)
    site.archive.user("UGONE", "Gone", deleted=True)
    site.archive.user("UINVITED", "Invited", is_invited_user=True)
    site.archive.user("U2", "Ben")
    paper = site.add("paper", "text")
    channel = paper.partition("/")[0]
    site.archive.members[channel] += ["UGUEST", "UGONE"]

    assert readers(site, paper) == {person("U1"), person("U2"), person("UGUEST")}
    with closing(site.connect()) as connector:
        assert group(TEAM) in connected_groups(connector)[group(channel)].members


def test_a_channel_that_becomes_private_is_closed_though_no_document_changed(site: Workspace) -> None:
    site.archive.user("U2", "Ben")
    paper = site.add("paper", "text")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
    assert person("U2") in readers(site, paper)
    site.archive.channels[paper.partition("/")[0]]["is_private"] = True
    assert readers(site, paper) == {person("U1")}
    with closing(site.connect()) as connector:
        assert synced(connector, before, cursor)[0][paper].revision == before[paper].revision


def test_members_of_another_workspace_are_named_under_their_own(site: Workspace) -> None:
    paper = site.add("paper", "text")
    channel = paper.partition("/")[0]
    site.archive.user("UPARTNER", "Pia", team="T0PARTNER", is_stranger=True)
    # With somebody whom the workspace knows from another of its organization, users.list tells them too.
    site.archive.user("USISTER", "Sia", team="T0SISTER", is_stranger=False)
    site.archive.channels[channel] |= {"is_private": True, "is_ext_shared": True, "is_shared": True}
    site.archive.members[channel] += ["UPARTNER", "UNOBODYKNOWS"]

    assert readers(site, paper) == {person("U1"), person("UPARTNER", "T0PARTNER")}
    with closing(site.connect()) as connector:
        assert connected_groups(connector)[group(TEAM)].members == (person("U1"),)
        assert person("UPARTNER", "T0PARTNER") in {account.user for account in connector.accounts()}


@pytest.mark.parametrize("token_is_a_bots", [False, True])
def test_an_archived_channel_stays_with_a_persons_token_and_goes_with_a_bots(
    site: Workspace, token_is_a_bots: bool
) -> None:
    paper = site.add("paper", "wombat")
    channel = paper.partition("/")[0]
    site.archive.channels[channel]["is_private"] = True
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.archive.archive(channel, token_is_a_bots)
        after, _ = synced(connector, before, cursor)
        assert after == ({} if token_is_a_bots else before)
        if not token_is_a_bots:
            assert b"wombat" in connector.fetch(after[paper])
            assert people(decisions(connector)[paper], connected_groups(connector)) == {person("U1")}


def test_a_channel_that_the_bot_is_put_out_of_is_gone(site: Workspace) -> None:
    kept, lost = site.add("kept", "text"), site.add("lost", "text")
    channel = lost.partition("/")[0]
    site.archive.channels[channel]["is_private"] = True
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.archive.members[channel].remove(BOT)
        assert synced(connector, before, cursor)[0].keys() == {kept}
        with pytest.raises(NotFound):
            connector.fetch(before[lost])
        assert group(channel) not in connected_groups(connector)


def test_a_channel_that_the_bot_is_put_out_of_meanwhile_ends_the_sync_and_the_next_finds_it_missing(
    site: Workspace,
) -> None:
    kept, lost = site.add("kept", "text"), site.add("lost", "text")
    with closing(site.connect()) as connector:
        pages = connector.changes(None)
        next(pages)
        site.archive.members[lost.partition("/")[0]].remove(BOT)
        with pytest.raises(Transient):
            list(pages)
        assert listing(connector)[0].keys() == {kept}


def test_a_channel_that_the_bot_joins_later_is_read_from_its_beginning(site: Workspace) -> None:
    site.add("first", "text")
    old = site.add("old", "text")
    site.archive.members[old.partition("/")[0]].remove(BOT)
    site.archive.now += 300 * DAY
    with closing(site.connect(whole_listing_hours=10_000)) as connector:
        before, cursor, _ = listing(connector)
        assert old not in before
        site.archive.members[old.partition("/")[0]].append(BOT)
        after, _ = synced(connector, before, cursor)
    assert old in after


def test_a_reply_in_an_old_thread_is_seen_with_the_next_listing_of_everything(site: Workspace) -> None:
    old = site.add("old", "text")
    site.archive.now += 40 * DAY
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        channel, _, thread = old.partition("/")
        site.archive.post(channel, "U1", "late wombat", thread=thread)
        soon, cursor = synced(connector, before, cursor)
        assert soon[old].revision == before[old].revision, "Slack's list of the last days does not show it"
        site.archive.now += DAY
        later, _ = synced(connector, soon, cursor)
        assert later[old].revision != before[old].revision
        assert b"late wombat" in connector.fetch(later[old])


def test_a_message_that_gets_its_first_reply_becomes_a_thread_and_back(site: Workspace) -> None:
    channel = site.archive.channel("general", "U1")
    first, second = (site.archive.post(channel, "U1", text) for text in ("wombat", "numbat"))
    day = f"{channel}/{message_day(first)}"
    with closing(site.connect()) as connector:
        now, cursor, _ = listing(connector)
        assert now.keys() == {day}
        reply = site.archive.post(channel, "U1", "quokka", thread=second)
        now, cursor = synced(connector, now, cursor)
        assert now.keys() == {day, f"{channel}/{second}"}
        assert b"numbat" not in connector.fetch(now[day])
        assert parse_html(connector.fetch(now[f"{channel}/{second}"])).title == "#general: numbat"
        site.archive.delete(channel, reply)
        now, cursor = synced(connector, now, cursor)
        assert now.keys() == {day}
        assert b"numbat" in connector.fetch(now[day])


def test_a_thread_whose_first_message_is_deleted_keeps_its_replies(site: Workspace) -> None:
    paper = site.add("paper", "the answer is numbat")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.archive.delete(*paper.split("/"))
        after, _ = synced(connector, before, cursor)
        text = connector.fetch(after[paper]).decode()
    assert after[paper].revision != before[paper].revision
    assert "numbat" in text and "deleted" not in text and ">paper" not in text


def test_a_long_thread_is_read_to_its_end_each_message_once(site: Workspace) -> None:
    channel = site.archive.channel("general", "U1")
    first = site.archive.post(channel, "U1", "begin")
    for number in range(7):
        site.archive.post(channel, "U1", f"wombat{number}.", thread=first)
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        text = parse_html(connector.fetch(found[f"{channel}/{first}"])).text
    assert [text.count(f"wombat{number}.") for number in range(7)] == [1] * 7
    assert text.index("wombat0") < text.index("wombat6")


def test_a_busy_day_stays_one_document_over_many_pages(site: Workspace) -> None:
    channel = site.archive.channel("general", "U1")
    for number in range(8):
        ts = site.archive.post(channel, "U1", f"wombat{number}.")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        text = parse_html(connector.fetch(found[f"{channel}/{message_day(ts)}"])).text
    assert len(found) == 1
    assert text.index("wombat0") < text.index("wombat7")


def test_notices_of_who_came_and_went_are_no_documents(site: Workspace) -> None:
    channel = site.archive.channel("general", "U1")
    site.archive.post(channel, "U1", "<@U1> has joined the channel", subtype="channel_join")
    with closing(site.connect()) as connector:
        assert listing(connector)[0] == {}


def test_files_are_documents_readable_where_they_are_shared(site: Workspace) -> None:
    site.archive.user("U2", "Ben")
    open_, closed = site.archive.channel("open", "U1"), site.archive.channel("closed", "U2", is_private=True)
    public = site.archive.share_file("plan.pdf", b"%PDF-plan", open_)
    secret = site.archive.share_file("secret.pdf", b"%PDF-secret", closed)
    both = site.archive.share_file("both.pdf", b"%PDF-both", open_, closed)
    for mode in ("external", "tombstone", "hidden_by_limit", "space"):
        site.archive.share_file("left.out", b"x", open_, mode=mode)

    with closing(site.connect()) as connector:
        found, cursor, _ = listing(connector)
        rights, groups = decisions(connector), connected_groups(connector)
        assert found.keys() == {f"files/{one}" for one in (public, secret, both)}
        assert [connector.fetch(found[f"files/{one}"]) for one in (public, secret)] == [b"%PDF-plan", b"%PDF-secret"]
    assert people(rights[f"files/{secret}"], groups) == {person("U2")}
    assert people(rights[f"files/{both}"], groups) == {person("U1"), person("U2")}
    assert found[f"files/{public}"].uri == f"https://home.slack.com/files/U1/{public}/plan.pdf"

    site.archive.files[both]["channels"] = []
    del site.archive.files[public]
    with closing(site.connect()) as connector:
        after, _ = synced(connector, found, cursor)
        rights = decisions(connector)
    assert after.keys() == {f"files/{secret}", f"files/{both}"}
    assert group(open_) not in rights[f"files/{both}"].lists.allow


def test_files_of_one_second_and_files_that_come_and_go_meanwhile_lose_no_other(site: Workspace) -> None:
    channel = site.archive.channel("general", "U1")
    ids = [site.archive.share_file(f"{number}.txt", b"x", channel) for number in range(12)]
    for one in ids[2:9]:
        site.archive.files[one]["created"] = site.archive.files[ids[2]]["created"]
    with closing(site.connect()) as connector:
        pages = connector.changes(None)
        found = {one.external_id for one in next(pages).listed}
        while not found:
            found |= {one.external_id for one in next(pages).listed}
        # What was on the second page is on the first now.
        del site.archive.files[ids[11]]
        times = [one.external_id for page in pages for one in page.listed]
    assert found | set(times) >= {f"files/{one}" for one in ids[:11]}
    assert len(times) == len(set(times))


def test_the_token_goes_to_slacks_hosts_alone(site: Workspace) -> None:
    channel = site.archive.channel("general", "U1")
    stranger, alike = (
        site.archive.base_url.replace("/api/", "/elsewhere/f.txt"),
        site.archive.files_url[:-1] + "9/f.txt",
    )
    for number, address in enumerate((stranger, alike)):
        file = site.archive.share_file(
            f"{number}.txt", b"text", channel, url_private=address, url_private_download=address
        )
        with closing(site.connect(files_url=site.archive.files_url.rstrip("/"))) as connector:
            one = listing(connector)[0][f"files/{file}"]
            site.archive.calls.clear()
            with pytest.raises(UnreadableDocument) as refused:
                connector.fetch(one)
        assert refused.value.verdict == "unsupported"
        assert not site.archive.calls


def test_a_page_to_sign_in_is_not_taken_for_a_file(site: Workspace) -> None:
    channel = site.archive.channel("general", "U1")
    file = site.archive.share_file("f.txt", b"text", channel)
    site.archive.may_read_files = False
    with closing(site.connect()) as connector:
        one = listing(connector)[0][f"files/{file}"]
        with pytest.raises(SourceRefused, match="files:read"):
            connector.fetch(one)


def test_direct_messages_are_left_alone_unless_they_are_asked_for(site: Workspace) -> None:
    direct = site.archive.channel("", "U1", is_im=True, is_private=True, user="U1")
    site.archive.post(direct, "U1", "between us")
    with closing(site.connect()) as connector:
        assert listing(connector)[0] == {}
    with closing(site.connect(direct_messages=True)) as connector:
        found, _, _ = listing(connector)
        assert people(decisions(connector)[next(iter(found))], connected_groups(connector)) == {person("U1")}


def test_channels_are_chosen_by_name_or_id(site: Workspace) -> None:
    keys = {name: site.add(name, "text") for name in ("team-red", "team-blue", "lunch")}
    blue = keys["team-blue"].partition("/")[0]
    with closing(site.connect(channels=["team-*"], exclude=[blue])) as connector:
        assert listing(connector)[0].keys() == {keys["team-red"]}


def test_an_unchanged_workspace_costs_a_call_for_each_channel_and_no_new_revision(site: Workspace) -> None:
    for number in range(3):
        site.add(f"paper {number}", "text")
    site.archive.now += 3 * DAY
    with closing(site.connect(whole_listing_hours=1000)) as connector:
        before, cursor, _ = listing(connector)
        site.archive.calls.clear()
        after, _ = synced(connector, before, cursor)
    assert {key: one.revision for key, one in after.items()} == {key: one.revision for key, one in before.items()}
    asked = [method for method, _ in site.archive.calls]
    assert asked.count("conversations.history") == 3
    assert "conversations.replies" not in asked, "nobody has replied for days"


def test_missing_scopes_are_named(site: Workspace) -> None:
    site.add("paper", "text")
    site.archive.broken["users.conversations", ""] = "missing_scope"
    with closing(site.connect()) as connector, pytest.raises(SourceRefused, match="missing_scope"):
        listing(connector)


def test_an_error_that_slack_calls_its_own_is_transient(site: Workspace) -> None:
    paper = site.add("paper", "text")
    site.archive.broken["conversations.history", paper.partition("/")[0]] = "internal_error"
    with closing(site.connect()) as connector, pytest.raises(Transient):
        listing(connector)


def test_what_people_write_becomes_text_and_nothing_else(site: Workspace) -> None:
    channel = site.archive.channel("general", "U1")
    text = (
        "*Hello* <@U1> and <@U9|ghost>, see <#C9|plans>, <!here>, <!subteam^S1|@ops>: "
        "<https://x.example/a?b=1&amp;c=2|the page>, <javascript:alert(1)|x>\n"
        "&lt;h1&gt;not a heading&lt;/h1&gt; `a &lt; b`\n"
        "```if a &lt; b:\n  *go*```"
    )
    first = site.archive.post(channel, "U1", text, files=[{"id": "F1", "name": "plan <1>.pdf"}])
    alarm = {"title": "Disk full", "fields": [{"title": "Host", "value": "db1"}], "fallback": "never shown"}
    site.archive.post(channel, "", "", subtype="bot_message", username="Alarm", bot_id="B1", attachments=[alarm])
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
        page = connector.fetch(found[f"{channel}/{message_day(first)}"]).decode()
    parsed = parse_html(page.encode())
    assert "<h1>not" not in page and "javascript:" not in page
    assert '<a href="https://x.example/a?b=1&amp;c=2">the page</a>' in page
    assert "<strong>Hello</strong> @Ana and @ghost, see #plans, @here, @ops: " in page
    assert "<pre><code>if a &lt; b:\n  *go*</code></pre>" in page
    assert "<code>a &lt; b</code>" in page
    assert "Attached: plan <1>.pdf" in parsed.text
    assert links(parsed) == [("the page", "https://x.example/a?b=1&c=2")]
    assert "Alarm" in parsed.text and "Disk full" in parsed.text and "Host: db1" in parsed.text
    assert "never shown" not in page
    assert parsed.title == f"#general, {message_day(first)}"
    assert found[
        f"{channel}/{message_day(first)}"
    ].uri == f"https://home.slack.com/archives/{channel}/p" + first.replace(".", "")


def test_what_a_program_posted_and_changed_is_read_again(site: Workspace) -> None:
    channel = site.archive.channel("alarms", "U1")
    ts = site.archive.post(channel, "", "", subtype="bot_message", bot_id="B1", attachments=[{"text": "Disk full"}])
    day = f"{channel}/{message_day(ts)}"
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.archive.messages[channel][ts]["attachments"] = [{"text": "Resolved"}]
        after, _ = synced(connector, before, cursor)
        assert after[day].revision != before[day].revision
        assert b"Resolved" in connector.fetch(after[day])


def test_slack_needs_a_token() -> None:
    with pytest.raises(SourceRefused):
        open_slack(SlackSettings(), None)


def test_a_decision_names_the_channels(site: Workspace) -> None:
    paper = site.add("paper", "text")
    with closing(site.connect()) as connector:
        access = listing(connector)[0][paper].access
    assert isinstance(access, Decision)
    assert paper.partition("/")[0] in access.rule
