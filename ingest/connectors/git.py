"""Git: the files of one branch, by any git, https, ssh or file address, with the commit that each comes from.

The `git` program does the talking: it knows every server, and its security holes are closed by whoever keeps the
machine up to date. Nothing is ever checked out: files are read out of a bare mirror, so that a path of the repository
never becomes a path of this machine, and no hook, filter or submodule of it runs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pathspec
from pydantic import SecretStr

from core.errors import NotFound, SourceRefused, UnreadableDocument
from ingest.connectors.api import Patience
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.git_mirror import OBJECT_ID, File, Mirror
from ingest.connectors.git_settings import GitSettings
from ingest.connectors.protocol import CursorExpired, Listed, Page, WithoutPermissions

MAX_DOCUMENT_BYTES = 100_000_000
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
LFS_POINTER_BYTES = 1024
"""A pointer is shorter than this (git-lfs's specification)."""

_FILE_MODES = ("100644", "100755", "100664")
_SUBMODULE, _SYMLINK = "160000", "120000"

_WEB = {
    "github.com": "https://{host}/{repository}/blob/{commit}/{path}",
    "gitlab.com": "https://{host}/{repository}/-/blob/{commit}/{path}",
    "bitbucket.org": "https://{host}/{repository}/src/{commit}/{path}",
    "codeberg.org": "https://{host}/{repository}/src/commit/{commit}/{path}",
    "gitea.com": "https://{host}/{repository}/src/commit/{commit}/{path}",
}


class GitCursor(Cursor):
    """A commit that is taken, or one that is being listed, and since which.

    Everything up to the path `after`, written with percent signs as it may be no text, is taken.
    """

    commit: str
    since: str | None = None
    after: str | None = None
    whole: bool = False


def open_git(
    settings: GitSettings,
    secret: SecretStr | None,
    *,
    cache_folder: Path,
    max_document_bytes: int = MAX_DOCUMENT_BYTES,
    patience: Patience | None = None,
) -> Git:
    """The source; `secret` is a token or password for https, a private key (PEM) for ssh."""
    return Git(settings, secret, cache_folder, max_document_bytes, patience)


class Git(WithoutPermissions):
    """One branch of one repository.

    A file's path is its id, for that is all that Git itself knows a file by. A rename is therefore one id gone and
    another listed with the same revision, which costs no embedding. The revision is the blob's id: it depends on the
    bytes alone. A sync compares the trees of two commits, so that a branch that was rewritten is followed like any
    other, as long as the mirror still has the commit of the cursor.

    What is listed is pinned to its commit: `fetch` gives its bytes also after a later commit has removed the file,
    and the next sync names it as gone.
    """

    def __init__(
        self,
        settings: GitSettings,
        secret: SecretStr | None,
        cache_folder: Path,
        max_document_bytes: int = MAX_DOCUMENT_BYTES,
        patience: Patience | None = None,
    ) -> None:
        if secret is not None and settings.scheme != "ssh" and re.search(r"[\x00\r\n]", secret.get_secret_value()):
            # A line of its own would be another answer to git's question.
            raise SourceRefused("The credential for this repository holds a line break; enter it as one line.")
        self._settings = settings
        self._limit = max_document_bytes
        named = hashlib.sha256(settings.url.encode()).hexdigest()[:24]
        self._ref = f"refs/footnote/{fingerprint(settings.branch)}"
        self._mirror = Mirror(settings, secret, cache_folder / f"{named}.git", self._ref, patience or Patience())
        self._wanted = pathspec.GitIgnoreSpec.from_lines(settings.include) if settings.include else None
        self._of = fingerprint("git", 1, settings.url, settings.branch, settings.include)
        self._link = _link(settings)

    def __repr__(self) -> str:
        return f"Git({self._settings.url!r}, {self._settings.branch!r})"

    def changes(self, cursor: str | None) -> Iterator[Page]:
        begun = read_cursor(GitCursor, cursor, self._of) if cursor is not None else None
        head = self._mirror.update()
        if begun is None:
            begun = GitCursor(of=self._of, commit=head, whole=True)
        elif begun.after is None:
            begun = GitCursor(of=self._of, commit=head, since=begun.commit)
        for commit in filter(None, (begun.commit, begun.since)):
            if not self._mirror.has_commit(commit):
                raise CursorExpired("The mirror no longer has the commit of the cursor; everything is listed anew.")
        files = self._mirror.files(begun.commit, begun.since)
        if begun.after is not None:
            after = unquote_to_bytes(begun.after)
            files = [file for file in files if file.path > after]
        yield from self._pages(begun, [file for file in files if self._is_wanted(file.path)])

    def fetch(self, document: Listed) -> bytes:
        if not OBJECT_ID.fullmatch(document.reference):
            raise NotFound("file of a repository", document.external_id)
        size = self._mirror.size(document.reference)
        if size is None:
            # Another machine has listed it, or the mirror was cleared since.
            self._mirror.update()
            size = self._mirror.size(document.reference)
        if size is None:
            raise NotFound("file of a repository", document.external_id)
        if size > self._limit:
            raise UnreadableDocument(
                "too_large", f"It is {size:,} bytes long and the limit is {self._limit:,} bytes; split it."
            )
        return self._mirror.read(document.reference)

    def close(self) -> None:
        self._mirror.close()

    def _pages(self, begun: GitCursor, files: Sequence[File]) -> Iterator[Page]:
        origins = self._mirror.last_commits(begun.commit, {file.path for file in files if file.blob})
        size = self._settings.page_size
        for start in range(0, max(len(files), 1), size):
            piece = files[start : start + size]
            last = start + size >= len(files)
            listed, gone, refused = self._sorted(piece, origins, begun)
            done = GitCursor(of=self._of, commit=begun.commit)
            going_on = begun.model_copy(update={"after": quote(piece[-1].path) if piece else None})
            yield Page(
                listed=listed,
                gone=gone,
                refused=refused,
                whole=begun.whole,
                last=last,
                cursor=str(done if last else going_on),
            )

    def _sorted(
        self, files: Sequence[File], origins: Mapping[bytes, str], begun: GitCursor
    ) -> tuple[list[Listed], list[str], list[tuple[str, str]]]:
        listed: list[Listed] = []
        gone: list[str] = []
        refused: list[tuple[str, str]] = []
        for file in files:
            name = _text(file.path)
            if file.blob is None or file.mode not in _FILE_MODES:
                # A link or a submodule is no document; where a file stood before, there is none any more.
                if not begun.whole:
                    gone.append(name)
            elif (reason := self._refusal(file)) is not None:
                refused.append((name, reason))
            else:
                commit = origins.get(file.path, begun.commit)
                uri = self._link(commit, quote(file.path))
                listed.append(Listed(name, name.rpartition("/")[2], uri, file.blob, reference=file.blob, hashed=True))
        return listed, gone, refused

    def _refusal(self, file: File) -> str | None:
        if any(part in (b"", b".", b"..") or part.lower() == b".git" for part in file.path.split(b"/")):
            return "its path leads out of the repository, which no honest commit holds"
        assert file.blob is not None
        short = self._mirror.size_in_tree(file.blob) < LFS_POINTER_BYTES
        if short and self._mirror.read(file.blob).startswith(LFS_POINTER):
            return "it is kept in Git LFS, and the repository holds only a pointer to it; Git LFS is not brought in"
        return None

    def _is_wanted(self, path: bytes) -> bool:
        return self._wanted is None or bool(self._wanted.match_file(_text(path)))


def _link(settings: GitSettings) -> Callable[[str, str], str]:
    """Where a person opens a file of a commit: at the web page of a host that is known or said, else named in words."""
    template = settings.web_link or _WEB.get(settings.host.lower()) or "{url}#{commit}:{path}"
    facts = {"host": settings.host, "repository": settings.repository, "url": settings.url}

    def link(commit: str, path: str) -> str:
        return template.format(commit=commit, path=path, **facts)

    return link


def _text(path: bytes) -> str:
    """A path as text that JSON and SQL take; bytes of it that are not UTF-8 are written as escapes."""
    return path.decode("utf-8", "backslashreplace")
