"""Confluence Cloud (REST v2, and v1 where v2 does not tell): pages, blog posts and attachments with their readers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field, SecretStr

from core.errors import NotFound, SourceRefused
from governance.access.rules import Decision
from ingest.connectors.answers import batched, needed, records
from ingest.connectors.api import Patience
from ingest.connectors.atlassian import ACCOUNTS_AT_ONCE, AtlassianSettings
from ingest.connectors.confluence_site import Site, Space, content_of
from ingest.connectors.confluence_storage import mentioned, storage_html
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.hypertext import document, file_name, paragraph
from ingest.connectors.protocol import Account, Group, Listed, Page

_VERSION = 1
_SPACES_AT_ONCE = 100
_KINDS = ("pages", "blogposts")


class ConfluenceSettings(AtlassianSettings):
    """How a site is reached, and which of its spaces are brought in."""

    spaces: tuple[str, ...] = Field((), description="keys of the spaces to bring in; none: all that the account sees")
    exclude_spaces: tuple[str, ...] = Field((), description="keys of spaces to leave out")
    personal_spaces: bool = Field(False, description="bring in people's own spaces too")
    attachments: bool = Field(True, description="bring in the files that hang on pages")
    page_documents: int = Field(200, ge=1, le=250, description="documents asked for at once")


class Confluence:
    """One site. A page is `pages/ID`, a file on it `attachments/ID`; both ids survive renames and moves.

    Every listing is one of everything: a move shows in no list of changes, and rights that pages inherit need the
    whole tree anyway. A page is readable by whoever passes its space's permissions and the restrictions of the page
    and of all that stands above it.
    """

    mirrors_permissions = True

    def __init__(
        self,
        settings: ConfluenceSettings,
        secret: SecretStr,
        patience: Patience | None = None,
        max_document_bytes: int = 100_000_000,
    ) -> None:
        self._settings, self._limit = settings, max_document_bytes
        self._issuer = f"confluence:{settings.host}"
        self._api = settings.open_api("Confluence", secret, patience, "" if settings.api_url else "/wiki")
        self._names: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Confluence({self._settings.host!r})"

    def changes(self, cursor: str | None) -> Iterator[Page]:
        """Everything there is, by external id, after the one that an interrupted listing stopped at."""
        settings = self._settings
        of = fingerprint("confluence", _VERSION, settings.host, settings.model_dump(mode="json"))
        after = read_cursor(_Place, cursor, of).after if cursor is not None else ""
        site = self._read()
        found = sorted(one for one in site.documents() if one > after)
        for batch in batched(found, settings.page_documents):
            listed = [self._listed(site, external_id) for external_id in batch]
            last = batch[-1] == found[-1]
            # Once all is listed, the next listing begins at the beginning.
            yield Page(listed, str(_Place(of=of, after="" if last else batch[-1])), whole=True, last=last)
        if not found:
            yield Page((), str(_Place(of=of, after="")), whole=True, last=True)

    def fetch(self, document: Listed) -> bytes:
        reference = json.loads(document.reference)
        kind, _, identity = document.external_id.partition("/")
        if kind == "attachments":
            return self._api.download(
                f"rest/api/content/{reference['on']}/child/attachment/{identity}/download", self._limit
            )
        found = self._api.get(f"api/v2/{kind}/{identity}", {"body-format": "storage"})
        if not isinstance(found, dict) or found.get("status") != "current":
            raise NotFound("Confluence page", document.external_id)
        return self._rendered(found, reference["path"])

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        site = self._read()
        for batch in batched(sorted(site.documents()), self._settings.page_documents):
            yield [(external_id, site.decision(external_id)) for external_id in batch]

    def groups(self) -> Iterator[Group]:
        """The groups that spaces name: a page's list names no other, for it names only whoever its space lets in."""
        site = self._read_spaces()
        for group in sorted(site.named_groups()):
            members = site.members_of(group)
            if isinstance(members, str):
                yield Group(group, problem=members)
            else:
                yield Group(group, tuple(sorted(members)))

    def accounts(self) -> Iterator[Account]:
        site = self._read_spaces()
        for group in sorted(site.named_groups()):
            site.members_of(group)
        site.name_people()
        for user in sorted(site.people):
            yield site.people[user]

    def close(self) -> None:
        self._api.close()

    def _read_spaces(self) -> Site:
        """The spaces that are brought in, and who may read each."""
        settings = self._settings
        site = Site(self._api, self._issuer)
        params: dict[str, Any] = {"status": "current"}
        for keys in [*batched(settings.spaces, _SPACES_AT_ONCE)] or [()]:
            chosen = params | ({"keys": list(keys)} if keys else {})
            for space in site.all_of("api/v2/spaces", chosen):
                wanted = settings.personal_spaces or space.get("type") != "personal" or space["key"] in settings.spaces
                if wanted and space["key"] not in settings.exclude_spaces:
                    site.spaces[str(space["id"])] = Space(str(space["key"]), str(space.get("name") or space["key"]))
        if settings.spaces and not site.spaces:
            raise SourceRefused(
                "Confluence shows none of the spaces that are to be brought in. Correct `spaces`, or let the account "
                "that the token belongs to view them."
            )
        for space_id in site.spaces:
            site.read_space(space_id)
        return site

    def _read(self) -> Site:
        """Everything but the texts: spaces, the tree of pages, files, and restrictions."""
        site = self._read_spaces()
        settings = self._settings
        narrowed = [*batched(site.spaces, _SPACES_AT_ONCE)] if settings.spaces else [()]
        for kind in _KINDS:
            # A page that moves from one space to another meanwhile must not be missed: no space is listed for itself.
            for some in narrowed:
                params = {"status": "current", "sort": "id"} | ({"space-id": list(some)} if some else {})
                for found in site.all_of(f"api/v2/{kind}", params, settings.page_documents):
                    if str(found.get("spaceId")) in site.spaces:
                        site.contents[str(found["id"])] = content_of(kind, found)
        if settings.attachments:
            params = {"status": "current", "sort": "created-date"}
            for found in site.all_of("api/v2/attachments", params, settings.page_documents):
                on = str(found.get("pageId") or found.get("blogPostId") or "")
                if on in site.contents:
                    site.files[str(found["id"])] = (on, found)
        site.read_restrictions(settings.page_documents)
        return site

    def _listed(self, site: Site, external_id: str) -> Listed:
        kind, _, identity = external_id.partition("/")
        address = self._settings.base_url + "/wiki"
        if kind == "attachments":
            on, found = site.files[identity]
            return Listed(
                external_id,
                file_name(str(found.get("title") or ""), ""),
                address + str(found.get("webuiLink") or site.contents[on].address),
                f"{found.get('version', {}).get('number', 0)}",
                site.decision(external_id),
                json.dumps({"on": on}),
            )
        content = site.contents[identity]
        path = site.path(identity)
        return Listed(
            external_id,
            file_name(content.title),
            address + content.address,
            # What stands above a page is written on it.
            f"{content.version}.{fingerprint(_VERSION, path)}",
            site.decision(external_id),
            json.dumps({"path": path}, ensure_ascii=False),
        )

    def _rendered(self, found: Mapping[str, Any], path: Sequence[str]) -> bytes:
        version = found.get("version") or {}
        storage = str((found.get("body") or {}).get("storage", {}).get("value") or "")
        author = str(version.get("authorId") or found.get("authorId") or "")
        self._name(mentioned(storage) | {author})
        changed = str(version.get("createdAt") or "")[:10]
        by = self._names.get(author, "")
        return document(
            str(found.get("title") or ""),
            paragraph(" › ".join(path)),
            paragraph(" · ".join(part for part in (by, changed) if part)),
            storage_html(storage, self._names),
        )

    def _name(self, accounts: Iterable[str]) -> None:
        """Learn how people are called; whoever is not told stays `somebody`."""
        unknown = sorted({account for account in accounts if account} - self._names.keys())
        for some in batched(unknown, ACCOUNTS_AT_ONCE):
            try:
                people = records(self._api.post("api/v2/users-bulk", {"accountIds": list(some)}), "results")
            except (NotFound, SourceRefused):
                return
            for person in people:
                self._names[str(person.get("accountId"))] = str(
                    person.get("displayName") or person.get("publicName") or "somebody"
                )


def open_confluence(
    settings: ConfluenceSettings, secret: SecretStr | None, max_document_bytes: int = 100_000_000
) -> Confluence:
    """A site; raises `SourceRefused` without a token."""
    return Confluence(settings, needed(secret, "Confluence"), max_document_bytes=max_document_bytes)


class _Place(Cursor):
    """Where a listing goes on: after this document, "" at the beginning."""

    after: str
