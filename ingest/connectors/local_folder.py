"""A local folder, listed as any other source is: every file each time, the hash of its bytes as its revision."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from core.documents import content_hash
from core.errors import NotFound, SourceRefused, Transient, WrongUsage
from governance.access.rules import Decision
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.protocol import Account, Group, Listed, Page
from ingest.folder import Folder, FolderFile
from ingest.items import unreadable
from ingest.sync import loader


class _Reached(Cursor):
    """After which file a listing goes on; empty: with all that is there."""

    after: str


class LocalFolder:
    """A folder that `read` reads as it is now. Its `access.yaml` files say who may read; whom they name is ours.

    A file is its place, so that one that moved is another with the same hash.
    """

    mirrors_permissions = True

    def __init__(
        self, path: Path, read: Callable[[], Folder], max_document_bytes: int = 100_000_000, page_files: int = 500
    ) -> None:
        self._path, self._read = path, read
        self._limit, self._page = max_document_bytes, page_files

    def changes(self, cursor: str | None) -> Iterator[Page]:
        """Every file after the cursor's; a file that cannot be read is refused, with the reason."""
        of = fingerprint("folder", 1, str(self._path))
        after = read_cursor(_Reached, cursor, of).after if cursor is not None else ""
        folder = self._folder()
        files = [file for file in folder.files if file.external_id > after]
        for at in range(0, max(len(files), 1), self._page):
            some, last = files[at : at + self._page], at + self._page >= len(files)
            listed: list[Listed] = []
            refused: list[tuple[str, str]] = []
            for file in some:
                try:
                    listed.append(_listed(folder, file))
                except OSError as error:
                    refused.append((file.external_id, unreadable(error).reason))
            reached = _Reached(of=of, after="" if last else some[-1].external_id)
            yield Page(listed, str(reached), whole=True, last=last, refused=refused)

    def fetch(self, document: Listed) -> bytes:
        try:
            return loader(path_of(document.uri), self._limit)()
        except FileNotFoundError as error:
            raise NotFound("file", document.external_id) from error
        except OSError as error:
            raise unreadable(error) from error

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        folder = self._folder()
        yield [(file.external_id, folder.decide(file.external_id)) for file in folder.files]

    def groups(self) -> Iterator[Group]:
        """None: the groups that its rules name have the members that Footnote's administrators give them."""
        return iter(())

    def accounts(self) -> Iterator[Account]:
        return iter(())

    def close(self) -> None:
        """Nothing is kept open."""

    def _folder(self) -> Folder:
        if not self._path.exists():
            raise Transient(f"{self._path} does not exist. If it is a mount, mount it.")
        try:
            return self._read()
        except WrongUsage as error:
            raise SourceRefused(str(error)) from error


def path_of(uri: str) -> Path:
    """The file or folder that `Path.as_uri` wrote, whatever bytes its name has."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))


def _listed(folder: Folder, file: FolderFile) -> Listed:
    return Listed(
        external_id=file.external_id,
        name=file.external_id.rpartition("/")[2],
        uri=file.path.as_uri(),
        revision=content_hash(file.path.read_bytes()),
        access=folder.decide(file.external_id),
        hashed=True,
    )
