"""Git repositories, read through Git's own server."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest
from conformance import SECRET, ConnectorContract, listing, synced
from git_server import GitServer, Repository
from pydantic import SecretStr, ValidationError

from core.errors import LimitExceeded, NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors.api import Patience
from ingest.connectors.git import Git, open_git
from ingest.connectors.git_settings import GitSettings
from ingest.connectors.protocol import CursorExpired, Listed, Page

HOSTED = "https://{host}/"


class GitSite:
    """A repository on a server, and connectors that keep their mirrors below `cache`."""

    def __init__(self, folder: Path) -> None:
        (folder / "served").mkdir()
        self.repository = Repository(folder / "served" / "papers.git")
        self.server = GitServer(folder / "served", "git", SECRET)
        self.server.start()
        self.cache = folder / "cache"
        self._slept: list[float] = []

    @property
    def url(self) -> str:
        return f"{self.server.address}/papers.git"

    def connect(self, secret: str | None = SECRET, max_document_bytes: int = 1_000_000, **settings: object) -> Git:
        given = GitSettings.model_validate({"url": self.url, "branch": "main", "page_size": 3} | settings)
        return open_git(
            given,
            SecretStr(secret) if secret is not None else None,
            cache_folder=self.cache,
            max_document_bytes=max_document_bytes,
            patience=Patience(sleep=self._slept.append),
        )

    def connect_unwelcome(self) -> Git:
        return self.connect(SECRET + "-of-yesterday")

    def add(self, name: str, text: str) -> str:
        self.repository.commit({f"{name}.md": text.encode()})
        return f"{name}.md"

    def change(self, external_id: str, text: str) -> None:
        self.repository.commit({external_id: text.encode()})

    def rename(self, external_id: str, name: str) -> bool:
        return False

    def remove(self, external_id: str) -> None:
        self.repository.commit({external_id: None})

    def throttle(self, times: int, seconds: float) -> bool:
        self.server.busy = [seconds] * times
        return True

    def waited(self) -> Sequence[float]:
        return self._slept

    def go_down(self) -> None:
        self.server.stop()

    def come_back(self) -> None:
        self.server.start()

    def expire_cursors(self) -> bool:
        """The branch is written anew by force, and the mirror that still had its past is gone."""
        content = {"first.md": b"first text"}
        other = self.repository.commit(content, branch="rewritten")
        self.repository.git("update-ref", "refs/heads/main", other)
        shutil.rmtree(self.cache)
        return True


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GitSite]:
    site = GitSite(tmp_path)
    yield site
    site.server.stop()


class TestGit(ConnectorContract):
    def test_what_is_gone_before_it_is_fetched_is_not_found(self, site: GitSite) -> None:
        """What is listed is pinned to its commit: it is read as it was, and the next sync says that it is gone."""
        gone = site.add("gone", "soon gone")
        site.add("kept", "kept")
        with closing(site.connect()) as connector:
            found, cursor, _ = listing(connector)
            site.remove(gone)
            assert connector.fetch(found[gone]) == b"soon gone"
            after, _ = synced(connector, found, cursor)
            assert gone not in after
            with pytest.raises(NotFound):
                connector.fetch(Listed(gone, gone, "", "1" * 40, reference="1" * 40))


def test_a_rename_is_one_id_gone_and_another_listed_with_the_same_revision(site: GitSite) -> None:
    site.repository.commit({"before.md": b"it stays itself", "other.md": b"other"})
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.repository.commit({"before.md": None, "deep/after.md": b"it stays itself"})
        (page,) = connector.changes(cursor)
    assert page.gone == ["before.md"]
    assert [(one.external_id, one.name) for one in page.listed] == [("deep/after.md", "after.md")]
    assert page.listed[0].revision == before["before.md"].revision and page.listed[0].hashed
    assert not page.whole


def test_a_sync_names_only_what_has_changed(site: GitSite) -> None:
    site.repository.commit({f"{number}.md": b"text %d" % number for number in range(9)})
    with closing(site.connect()) as connector:
        _, cursor, _ = listing(connector)
        site.repository.commit({"4.md": b"new"})
        pages = list(connector.changes(cursor))
        nothing = list(connector.changes(pages[-1].cursor))
    assert [one.external_id for page in pages for one in page.listed] == ["4.md"]
    assert [(list(page.listed), list(page.gone), page.last) for page in nothing] == [([], [], True)]


def test_a_sync_that_stops_within_its_changes_goes_on_where_it_stopped(site: GitSite) -> None:
    site.repository.commit({f"{number}.md": b"text %d" % number for number in range(9)})
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
    site.repository.commit({f"{number}.md": b"new %d" % number for number in range(7)} | {"8.md": None})
    with closing(site.connect()) as connector:
        first = next(connector.changes(cursor))
    # What is committed meanwhile belongs to the sync after this one.
    site.repository.commit({"0.md": b"newer"})
    with closing(site.connect()) as connector:
        after, cursor = synced(connector, before | {one.external_id: one for one in first.listed}, first.cursor)
        latest, _ = synced(connector, after, cursor)
    changed = {name for name in after if after[name].revision != before[name].revision}
    assert changed == {f"{number}.md" for number in range(7)}
    assert "8.md" not in after
    assert latest["0.md"].revision != after["0.md"].revision


def test_a_branch_that_was_rewritten_by_force_is_followed(site: GitSite) -> None:
    root = site.repository.commit({"kept.md": b"kept", "old.md": b"old"})
    site.repository.commit({"dropped.md": b"dropped"})
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.repository.commit({"other.md": b"other", "old.md": None}, parents=(root,))
        after, _ = synced(connector, before, cursor)
        whole, _, _ = listing(connector)
    assert after.keys() == {"kept.md", "other.md"} == whole.keys()


def test_a_link_shows_the_commit_that_last_touched_a_file_and_there_it_has_the_bytes_that_were_read(
    site: GitSite,
) -> None:
    repository = site.repository
    first = repository.commit({"old.md": b"old", "both.md": b"1", "merged.md": b"before"})
    second = repository.commit({"both.md": b"2"})
    side = repository.commit({"merged.md": b"aside", "both.md": b"lost"}, branch="side", parents=(first,))
    # The merge takes one file of the side's and keeps its own version of the other.
    merge = repository.commit({"merged.md": b"aside"}, parents=(second, side))
    with closing(site.connect(web_link="https://code.example/{commit}/{path}")) as connector:
        found, cursor, _ = listing(connector)
        fifth = repository.commit({"a b/ü#?.md": b"odd"})
        repository.commit({"old.md": None})
        changed, _, _ = listing(connector, cursor)

    assert {name: one.uri for name, one in found.items()} == {
        "old.md": f"https://code.example/{first}/old.md",
        "both.md": f"https://code.example/{second}/both.md",
        "merged.md": f"https://code.example/{merge}/merged.md",
    }
    assert all(repository.at(one.uri.split("/")[3], name) == one.revision for name, one in found.items())
    assert changed["a b/ü#?.md"].uri == f"https://code.example/{fifth}/a%20b/%C3%BC%23%3F.md"
    assert unquote(changed["a b/ü#?.md"].uri).endswith("/a b/ü#?.md")


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://github.com/org/repo.git", "https://github.com/org/repo/blob/c1/docs/a.md"),
        ("git@github.com:org/repo.git", "https://github.com/org/repo/blob/c1/docs/a.md"),
        ("ssh://git@gitlab.com/org/sub/repo", "https://gitlab.com/org/sub/repo/-/blob/c1/docs/a.md"),
        ("https://codeberg.org/org/repo/", "https://codeberg.org/org/repo/src/commit/c1/docs/a.md"),
        ("https://bitbucket.org/org/repo", "https://bitbucket.org/org/repo/src/c1/docs/a.md"),
        ("https://git.example.org/repo.git", "https://git.example.org/repo.git#c1:docs/a.md"),
    ],
)
def test_the_large_hosts_are_linked_as_they_link_themselves(url: str, link: str, tmp_path: Path) -> None:
    connector = open_git(GitSettings(url=url), None, cache_folder=tmp_path)
    assert connector._link("c1", "docs/a.md") == link


def test_only_what_the_patterns_name_is_brought_in_and_other_patterns_mean_another_listing(site: GitSite) -> None:
    site.repository.commit(
        {"docs/a.md": b"a", "docs/drafts/b.md": b"b", "docs/c.txt": b"c", "src/d.md": b"d", "e.md": b"e"}
    )
    with closing(site.connect(include=("docs/**/*.md", "!docs/drafts/**"))) as connector:
        found, cursor, _ = listing(connector)
        site.repository.commit({"docs/c.txt": b"changed", "docs/f.md": b"f"})
        changed, _, _ = listing(connector, cursor)
    assert found.keys() == {"docs/a.md"}
    assert changed.keys() == {"docs/f.md"}
    with closing(site.connect(include=("*.md",))) as connector, pytest.raises(CursorExpired):
        listing(connector, cursor)


def test_links_and_submodules_are_left_out_and_a_file_that_becomes_one_is_gone(site: GitSite) -> None:
    head = site.repository.commit({"plain.md": b"plain", "link.md": b"a file as yet"})
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        site.repository.add_entries(
            ("100644", "blob", site.repository.blob(b"plain"), b"plain.md"),
            ("100755", "blob", site.repository.blob(b"#!/bin/sh"), b"run.sh"),
            ("120000", "blob", site.repository.blob(b"/etc/passwd"), b"link.md"),
            ("160000", "commit", head, b"module"),
        )
        after, _ = synced(connector, before, cursor)
        whole, _, _ = listing(connector)
    assert before.keys() == {"plain.md", "link.md"}
    assert after.keys() == {"plain.md", "run.sh"} == whole.keys()


def test_a_pointer_to_git_lfs_is_refused_with_the_reason(site: GitSite) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 12345\n"
    prose = pointer + b"x" * 2000
    site.repository.commit({"big.pdf": pointer, "about-lfs.md": prose})
    with closing(site.connect()) as connector:
        found, _, pages = listing(connector)
    refused = dict(one for page in pages for one in page.refused)
    assert refused.keys() == {"big.pdf"} and "Git LFS" in refused["big.pdf"]
    assert found.keys() == {"about-lfs.md"}


def test_a_huge_file_is_refused_by_its_size_before_it_is_read(site: GitSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.repository.commit({"huge.bin": b"\0" * 5000, "small.md": b"small"})
    with closing(site.connect(max_document_bytes=4999)) as connector:
        found, _, _ = listing(connector)
        read: list[str] = []
        monkeypatch.setattr(connector._mirror, "read", read.append)
        with pytest.raises(UnreadableDocument) as refused:
            connector.fetch(found["huge.bin"])
    assert refused.value.verdict == "too_large" and "5,000" in refused.value.reason
    assert read == []


def test_paths_that_lead_out_of_the_repository_are_refused(site: GitSite) -> None:
    repository = site.repository
    blob = repository.blob(b"gotcha")
    repository.add_entries(
        ("100644", "blob", repository.blob(b"fine"), b"fine.md"),
        ("100644", "blob", blob, b".."),
        ("40000", "tree", repository.tree("hooks", b"gotcha"), b".git"),
        ("100644", "blob", blob, b"a\nb.md"),
        ("100644", "blob", blob, b"\xff\xfe.md"),
        ("100644", "blob", blob, b"--upload-pack=touch pwned"),
    )
    with closing(site.connect()) as connector:
        found, _, pages = listing(connector)
        texts = {connector.fetch(one) for one in found.values()}
    refused = dict(one for page in pages for one in page.refused)
    assert refused.keys() == {"..", ".git/hooks"}
    assert found.keys() == {"fine.md", "a\nb.md", "\\xff\\xfe.md", "--upload-pack=touch pwned"}
    assert texts == {b"fine", b"gotcha"}


def test_paths_that_are_no_text_do_not_disturb_a_listing_that_goes_on(site: GitSite) -> None:
    blob = site.repository.blob(b"text")
    names = [b"a.md", b"b\xff.md", b"b\xfe\xff.md", b"b\\x.md", b"c.md", b"d.md"]
    site.repository.add_entries(*(("100644", "blob", blob, name) for name in names))
    with closing(site.connect(page_size=1)) as connector:
        pages = list(connector.changes(None))
        for stop, page in enumerate(pages[:-1], start=1):
            rest = [one.external_id for more in connector.changes(page.cursor) for one in more.listed]
            assert rest == [one.external_id for later in pages[stop:] for one in later.listed]


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "https://ana:hunter2@host/repo"},
        {"url": "https://token-hunter2@host/repo"},
        {"url": "ssh://git:hunter2@host/repo"},
        {"url": "ext::sh -c hunter2"},
        {"url": "ext::sh%20-c%20hunter2"},
        {"url": "--upload-pack=hunter2"},
        {"url": "ssh://-oProxyCommand=hunter2/repo"},
        {"url": "-oProxyCommand=hunter2:repo"},
        {"url": "fd::17/hunter2"},
        {"url": "/srv/hunter2.git"},
        {"url": "https:///hunter2"},
        {"url": "https://host/repo", "branch": "--upload-pack=hunter2"},
        {"url": "https://host/repo", "branch": "a:refs/heads/hunter2"},
        {"url": "https://host/repo", "branch": "hunter2*"},
        {"url": "https://host/repo", "branch": "hunter2..main"},
        {"url": "https://host/repo", "branch": "hunter2.lock"},
        {"url": "https://host/repo", "branch": ""},
        {"url": "https://host/repo", "web_link": "https://hunter2/{url.__class__}"},
        {"url": "https://host/repo", "username": "a\npassword=hunter2"},
    ],
)
def test_addresses_and_names_that_mean_something_else_to_git_are_refused_unquoted(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        GitSettings.model_validate(settings)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("branch", ["main", "release/1.0", "@", "ünï", "a@b", "x-{y}"])
def test_branches_that_git_takes_are_taken(branch: str, tmp_path: Path) -> None:
    Repository(tmp_path / "any.git").git("check-ref-format", f"refs/heads/{branch}")
    assert GitSettings(url="https://host/repo", branch=branch).branch == branch


def test_a_credential_that_would_be_two_lines_is_refused_before_git_sees_it(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused):
        open_git(GitSettings(url="https://host/repo"), SecretStr("a\nhost=evil"), cache_folder=tmp_path)


def test_the_credential_goes_to_no_other_host(site: GitSite, tmp_path: Path) -> None:
    site.add("paper", "text")
    (tmp_path / "elsewhere").mkdir()
    elsewhere = GitServer(tmp_path / "elsewhere", "git", "other")
    elsewhere.start()
    site.server.redirect_to = elsewhere.address
    try:
        with closing(site.connect()) as connector, pytest.raises(SourceRefused, match="has moved"):
            listing(connector)
    finally:
        elsewhere.stop()
    assert elsewhere.seen_authorization == []


def test_git_is_given_the_credential_for_the_repositorys_own_host_alone(site: GitSite) -> None:
    site.add("paper", "text")
    site.cache.mkdir()
    with closing(site.connect()) as connector, connector._mirror._access() as (environment, _):
        own = site.server.address.removeprefix("http://")
        answers = [
            subprocess.run(
                ["git", "credential", "fill"],
                input=f"protocol={protocol}\nhost={host}\n\n",
                capture_output=True,
                text=True,
                env=environment,
            ).stdout
            for protocol, host in (("http", own), ("https", own), ("http", "evil.example"), ("http", "127.0.0.1:1"))
        ]
    assert [SECRET in answer for answer in answers] == [True, False, False, False]


def test_what_a_server_says_in_its_own_words_decides_nothing(site: GitSite) -> None:
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
        (mirror,) = site.cache.glob("*.git")
        made = mirror.stat().st_ino
        site.server.says = "fatal: bad object\nAuthentication failed\nrepository 'x' not found\n"
        with pytest.raises(Transient) as down:
            listing(connector, cursor)
        site.server.says = None
        assert synced(connector, before, cursor)[0] == before
    assert mirror.stat().st_ino == made
    assert "bad object" not in str(down.value)


def test_the_credential_stands_in_no_command_and_in_no_file_of_the_mirror(
    site: GitSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    commands = tmp_path / "commands"
    git = shutil.which("git")
    (bin_folder / "git").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {commands}\nexec {git} "$@"\n')
    (bin_folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        listing(connector)

    assert site.url in commands.read_text() and SECRET not in commands.read_text()
    kept = [path for path in site.cache.rglob("*") if path.is_file()]
    assert kept and not any(SECRET.encode() in path.read_bytes() for path in kept)
    assert not list(site.cache.glob(".access-*"))


def test_nothing_of_the_machines_own_configuration_is_heeded_and_no_hook_runs(
    site: GitSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / ".gitconfig"
    config.write_text('[url "http://127.0.0.1:1/"]\n\tinsteadOf = http://\n')
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login git password wrong\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    pwned = tmp_path / "pwned"
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        listing(connector)
        (mirror,) = site.cache.glob("*.git")
        (mirror / "hooks").mkdir()
        hook = mirror / "hooks" / "reference-transaction"
        hook.write_text(f"#!/bin/sh\ntouch {pwned}\n")
        hook.chmod(0o755)
        site.add("second", "text")
        found, _, _ = listing(connector)
    assert found.keys() == {"paper.md", "second.md"}
    assert not pwned.exists()


def test_a_missing_repository_and_a_missing_branch_are_named_and_delete_nothing(site: GitSite) -> None:
    with closing(site.connect(branch=None)) as connector, pytest.raises(SourceRefused, match="no commit yet"):
        listing(connector)
    site.add("paper", "text")
    other = f"{site.server.address}/other.git"
    with closing(site.connect(url=other)) as connector, pytest.raises(SourceRefused, match=f"no repository {other}"):
        listing(connector)
    with closing(site.connect(branch="trunk")) as connector, pytest.raises(SourceRefused, match="no branch 'trunk'"):
        listing(connector)
    with closing(site.connect(branch=None)) as connector:
        assert listing(connector)[0].keys() == {"paper.md"}


def test_a_repository_of_this_machine_is_read_by_its_file_address(site: GitSite) -> None:
    site.add("paper", "text")
    with closing(site.connect(url=f"file://{site.repository.folder}", secret=None)) as connector:
        found, _, _ = listing(connector)
        assert connector.fetch(found["paper.md"]) == b"text"


def test_a_mirror_that_was_damaged_is_made_again(site: GitSite) -> None:
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
    for path in (site.cache).rglob("objects/*/*"):
        path.chmod(0o600)
        path.write_bytes(b"")
    site.add("second", "second text")
    with closing(site.connect()) as connector:
        after, _ = synced(connector, before, cursor)
    assert after.keys() == {"paper.md", "second.md"}


def test_a_file_that_damage_has_taken_from_the_mirror_is_not_left_out_of_the_listing(site: GitSite) -> None:
    site.add("paper", "text")
    blob = site.repository.at("main", "paper.md")
    with closing(site.connect()) as connector:
        listing(connector)
    (damaged,) = site.cache.rglob(f"objects/{blob[:2]}/{blob[2:]}")
    damaged.unlink()
    with closing(site.connect()) as connector:
        with pytest.raises(Transient, match="damaged"):
            listing(connector)
        found, _, _ = listing(connector)
        assert connector.fetch(found["paper.md"]) == b"text"


def test_ssh_is_asked_with_the_key_given_apart_and_with_hosts_known_beforehand(
    site: GitSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The program `ssh` is one of ours here: it notes what it was asked, and runs the command on this machine."""
    noted = tmp_path / "noted"
    noted.mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$@" > {noted}/arguments\n'
        'while [ "$1" != -i ]; do\n'
        f'  case "$1" in UserKnownHostsFile=*) eval "cp ${{1#*=}} {noted}/hosts";; esac; shift\n'
        "done\n"
        f'cp "$2" {noted}/key; stat -c %a "$2" > {noted}/mode\n'
        'for last; do :; done; exec sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}{os.pathsep}{os.environ['PATH']}")
    site.add("paper", "text")
    url = f"ssh://git@code.example:2222{site.repository.folder}"
    with closing(site.connect(url=url, secret="KEY\nLINES", known_hosts="code.example ssh-ed25519 AAAA")) as connector:
        found, _, _ = listing(connector)

    arguments = (noted / "arguments").read_text().splitlines()
    assert found.keys() == {"paper.md"}
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "git@code.example"} <= set(arguments)
    assert (noted / "key").read_text() == "KEY\nLINES\n" and (noted / "mode").read_text().strip() == "600"
    assert (noted / "hosts").read_text() == "code.example ssh-ed25519 AAAA\n"
    assert not list(site.cache.rglob("key"))


def test_a_key_that_a_killed_worker_has_left_is_cleared_away(site: GitSite) -> None:
    site.add("paper", "text")
    left, in_use = site.cache / ".access-left", site.cache / ".access-in-use"
    for folder in (left, in_use):
        folder.mkdir(parents=True)
        (folder / "key").write_text("KEY")
    long_ago = time.time() - 7200
    os.utime(left, (long_ago, long_ago))
    with closing(site.connect(timeout_s=3600)) as connector:
        listing(connector)
    assert in_use.exists() and not left.exists()


def test_a_mirror_that_was_cleared_is_filled_again_for_what_is_still_to_be_fetched(site: GitSite) -> None:
    site.add("paper", "text")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector)
    shutil.rmtree(site.cache)
    with closing(site.connect()) as connector:
        assert connector.fetch(found["paper.md"]) == b"text"


def test_a_repository_beyond_the_mirrors_limit_is_the_operators(site: GitSite) -> None:
    site.repository.commit({"noise.bin": os.urandom(300_000)})
    with closing(site.connect(mirror_limit_bytes=100_000)) as connector, pytest.raises(LimitExceeded, match="100,000"):
        listing(connector)


def test_a_transfer_that_does_not_end_is_ended_with_all_its_children(
    site: GitSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child = tmp_path / "child"
    git = shutil.which("git")
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *" fetch "*) sleep 600 & echo $! > {child}; wait;; esac\nexec {git} "$@"\n'
    )
    slow.chmod(0o755)
    site.add("paper", "text")
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    with closing(site.connect(timeout_s=0.2)) as connector, pytest.raises(Transient, match="timeout_s"):
        listing(connector)
    state = Path(f"/proc/{child.read_text().strip()}/stat")
    assert not state.exists() or state.read_text().split()[2] in "ZX"


def test_what_one_branch_still_needs_is_not_cleared_away_with_another(site: GitSite) -> None:
    root = site.repository.commit({"root.md": b"root"})
    site.repository.commit({"next.md": b"next"}, branch="next", parents=(root,))
    site.repository.commit({"main.md": b"main"})
    with closing(site.connect()) as connector:
        before, cursor, _ = listing(connector)
    with closing(site.connect(branch="next")) as connector:
        listing(connector)
    (mirror,) = site.cache.glob("*.git")
    subprocess.run(["git", f"--git-dir={mirror}", "gc", "--quiet", "--prune=now"], check=True)
    site.repository.commit({"later.md": b"later"}, parents=(root,))
    with closing(site.connect()) as connector:
        after, _ = synced(connector, before, cursor)
    assert after.keys() == {"root.md", "later.md"}


def test_two_branches_of_one_repository_do_not_disturb_each_other(site: GitSite) -> None:
    root = site.repository.commit({"main.md": b"main"})
    site.repository.commit({"next.md": b"next"}, branch="next", parents=(root,))
    pages: dict[str, list[Page]] = {}
    for branch in ("main", "next"):
        with closing(site.connect(branch=branch)) as connector:
            pages[branch] = list(connector.changes(None))
    site.repository.commit({"later.md": b"later"}, branch="next")
    with closing(site.connect()) as connector:
        found, _, _ = listing(connector, pages["main"][-1].cursor)
        assert not found
    with closing(site.connect(branch="next")) as connector:
        found, _, _ = listing(connector, pages["next"][-1].cursor)
        assert found.keys() == {"later.md"}
