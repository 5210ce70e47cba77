"""The systems that documents can come from: what each is set up with, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from core.errors import WrongUsage
from ingest.connectors.protocol import Connector


@dataclass(frozen=True)
class Means:
    """What a connector may use of this machine; `cache` is a folder of its own that can be deleted at any time."""

    max_document_bytes: int
    cache: Path


@dataclass(frozen=True)
class Kind:
    """A kind of system: its settings, what its credential is (empty: it needs none), and how it is opened."""

    settings: type[BaseModel]
    credential: str
    open: Callable[[Any, SecretStr | None, Means], Connector]


class _Opener(Protocol):
    """Opens a source of one kind; a document beyond `max_document_bytes` is refused."""

    def __call__(self, settings: Any, secret: SecretStr | None, *, max_document_bytes: int) -> Connector: ...


def _bounded(settings: type[BaseModel], opener: _Opener, credential: str) -> Kind:
    """A kind whose connector needs of this machine only to know what is too large."""
    return Kind(
        settings,
        credential,
        lambda chosen, secret, means: opener(chosen, secret, max_document_bytes=means.max_document_bytes),
    )


def _git() -> Kind:
    from ingest.connectors.git import open_git
    from ingest.connectors.git_settings import GitSettings

    return Kind(
        GitSettings,
        "a token or password for https, a private key (PEM) for ssh; nothing for a public repository",
        lambda settings, secret, means: open_git(
            settings, secret, cache_folder=means.cache, max_document_bytes=means.max_document_bytes
        ),
    )


def _imap() -> Kind:
    from ingest.connectors.imap import open_imap
    from ingest.connectors.imap_settings import ImapSettings

    return _bounded(
        ImapSettings, open_imap, "the mailbox's password, or the client secret of an application that may read it"
    )


def _mbox() -> Kind:
    from ingest.connectors.mbox import MboxSettings, open_mbox

    return _bounded(MboxSettings, open_mbox, "")


def _web() -> Kind:
    from ingest.connectors.web import open_web
    from ingest.connectors.web_settings import WebSettings

    return Kind(WebSettings, "", lambda settings, _, means: open_web(settings, means.max_document_bytes))


def _slack() -> Kind:
    from ingest.connectors.slack import open_slack
    from ingest.connectors.slack_settings import SlackSettings

    return _bounded(SlackSettings, open_slack, "the bot's token (xoxb-…), or a person's (xoxp-…)")


def _slack_export() -> Kind:
    from ingest.connectors.slack_export import SlackExportSettings, open_slack_export

    return _bounded(SlackExportSettings, open_slack_export, "")


def _s3() -> Kind:
    from ingest.connectors.s3 import S3Settings, open_s3

    return _bounded(S3Settings, open_s3, "the secret access key that goes with access_key_id")


def _sql() -> Kind:
    from ingest.connectors.sql import SqlSettings, open_sql

    return _bounded(SqlSettings, open_sql, "the password of the address's user; nothing for SQLite")


def _confluence() -> Kind:
    from ingest.connectors.confluence import ConfluenceSettings, open_confluence

    return _bounded(ConfluenceSettings, open_confluence, "an API token of the account that `user` names")


def _jira() -> Kind:
    from ingest.connectors.jira import JiraSettings, open_jira

    return _bounded(JiraSettings, open_jira, "an API token of the account that `user` names")


def _notion() -> Kind:
    from ingest.connectors.notion import NotionSettings, open_notion

    return _bounded(NotionSettings, open_notion, "the token of an internal integration")


def _github() -> Kind:
    from ingest.connectors.github import open_github
    from ingest.connectors.github_settings import GitHubSettings

    return Kind(
        GitHubSettings,
        "a token that may read the repositories",
        lambda settings, secret, means: open_github(settings, secret, means.max_document_bytes),
    )


def _sharepoint() -> Kind:
    from ingest.connectors.graph import open_graph
    from ingest.connectors.graph_settings import GraphSettings

    return _bounded(
        GraphSettings, open_graph, "the application's client secret, or its certificate with the private key (PEM)"
    )


def _google_drive() -> Kind:
    from ingest.connectors.google_drive import open_google_drive
    from ingest.connectors.google_settings import GoogleDriveSettings

    return _bounded(GoogleDriveSettings, open_google_drive, "the service account's key (JSON)")


KINDS: dict[str, Callable[[], Kind]] = {
    "confluence": _confluence,
    "git": _git,
    "github": _github,
    "google-drive": _google_drive,
    "imap": _imap,
    "jira": _jira,
    "mbox": _mbox,
    "notion": _notion,
    "s3": _s3,
    "sharepoint": _sharepoint,
    "slack": _slack,
    "slack-export": _slack_export,
    "sql": _sql,
    "web": _web,
}
"""By name. Called when first used: some of their libraries take long to load."""


def kind_of(name: str) -> Kind:
    """A kind by its name; raises `WrongUsage` naming those there are."""
    if name not in KINDS:
        raise WrongUsage(f"There is no kind of source {name!r}; write one of {', '.join(sorted(KINDS))}.")
    return KINDS[name]()


def checked_settings(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a source as they are kept; raises `WrongUsage` naming the first that makes no sense."""
    try:
        return kind_of(kind).settings.model_validate(given).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "the settings"
        raise WrongUsage(
            f"{name} of a source of the kind {kind}: {_in_words(name, first)}. "
            f"`footnote sources kinds {kind}` lists its settings."
        ) from error


def _in_words(name: str, wrong: ErrorDetails) -> str:
    """What is wrong with a setting, to whoever writes `--set`."""
    words = {
        "missing": f"it is needed; give it with --set {name}=VALUE",
        "extra_forbidden": "there is no such setting",
        "tuple_type": f'write a list, such as --set {name}=\'["one", "two"]\'',
        "string_type": f"write text; what looks like a number goes in quotes, such as --set {name}='\"1\"'",
        "string_pattern_mismatch": "it is not written as this system writes it",
        "value_error": str(wrong.get("ctx", {}).get("error", wrong["msg"])),
    }
    return words.get(wrong["type"], wrong["msg"])


def addressed(url: str) -> tuple[str, dict[str, Any]]:
    """The kind of system that an address names, and the settings that the address gives; raises `WrongUsage`."""
    parts = urlsplit(url)
    if parts.password is not None:
        raise WrongUsage("An address holds no password: name its place with --secret, and leave it out here.")
    if parts.scheme in ("git", "ssh", "git+https", "git+ssh", "git+file") or parts.path.endswith(".git"):
        return "git", {"url": url.removeprefix("git+")}
    if parts.scheme in ("http", "https"):
        return "web", {"url": url}
    if parts.scheme == "s3" and parts.netloc:
        return "s3", {"bucket": parts.netloc, "prefix": parts.path.lstrip("/")}
    if parts.scheme in ("imap", "imaps") and parts.hostname and parts.username:
        security = {"imap": "starttls", "imaps": "tls"}[parts.scheme]
        port = {"port": parts.port} if parts.port else {}
        return "imap", {"host": parts.hostname, "user": unquote(parts.username), "security": security, **port}
    if parts.scheme == "mbox":
        return "mbox", {"path": unquote(parts.path)}
    raise WrongUsage(
        f"{url} is the address of no system that is known. Addresses begin with https://, git+https://, ssh://, s3://, "
        "imaps://USER@ or mbox:///; `footnote sources kinds` lists the others."
    )
