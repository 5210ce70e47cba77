"""Slack's Web API: its methods called, its own signs of trouble told in our errors, its files fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors.api import Api, Patience

_REFUSED = frozenset(
    (
        *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission"),
        *("missing_scope", "not_allowed_token_type", "access_denied", "ekm_access_denied", "org_login_required"),
        "team_access_not_granted",
    )
)
_ABSENT = frozenset(
    (
        *("channel_not_found", "not_in_channel", "thread_not_found", "message_not_found"),
        *("file_not_found", "file_deleted", "user_not_found", "users_not_found", "user_not_visible"),
    )
)
_SIGN_IN_PAGE = (b"<!DOCTYPE html", b"<!doctype html", b"<html")


class SlackFailed(Transient):
    """Slack is there and failed at this one call."""


class SlackApi:
    """One workspace, as a token sees it. The token goes to the Web API and to the host of files, and nowhere else."""

    def __init__(self, base_url: str, files_url: str, token: SecretStr, patience: Patience | None = None) -> None:
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._api = Api("Slack", base_url, headers, "the bot's token", patience)
        self._files = Api("Slack", files_url, headers, "the bot's token", patience)
        # With its slash: files.slack.com.example begins with the name of the host too.
        self._files_url = files_url.rstrip("/") + "/"

    def __repr__(self) -> str:
        return repr(self._api)

    def close(self) -> None:
        self._api.close()
        self._files.close()

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a method answers with. Raises `NotFound`, `SourceRefused` or `SlackFailed` for Slack's errors."""
        answer = self._api.get(method, params)
        if not isinstance(answer, dict):
            raise Transient("Slack answered with something that is no object.")
        if answer.get("ok"):
            return answer
        error = str(answer.get("error"))
        if error in _REFUSED:
            needs = f"; it needs {answer['needed']}" if error == "missing_scope" and answer.get("needed") else ""
            raise SourceRefused(
                f"Slack refused {method} ({error}{needs}). Renew the bot's token, or give the app the scopes that "
                "docs/sources.md names and install it again."
            )
        if error in _ABSENT:
            raise NotFound("Slack object", method)
        raise SlackFailed(f"Slack answered {method} with {error}.")

    def pages(self, method: str, key: str, params: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        """What a method lists below `key`, page by page (https://docs.slack.dev/apis/web-api/pagination)."""
        cursor = ""
        while True:
            answer = self.call(method, {**params, "cursor": cursor} if cursor else params)
            yield list(answer.get(key) or ())
            following = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not following or following == cursor:
                return
            cursor = following

    def download(self, address: str, size: int, limit: int) -> bytes:
        """A file's bytes. Raises as `Api.download`, and `SourceRefused` where a page to sign in comes instead."""
        if size > limit:
            raise UnreadableDocument("too_large", f"It is longer than the limit of {limit:,} bytes; split it.")
        if not address.startswith(self._files_url):
            raise UnreadableDocument("unsupported", "The file is kept outside Slack; bring it in from there.")
        data = self._files.download(address, limit)
        # Without the scope files:read, Slack shows a page to sign in, with status 200.
        if len(data) != size and data.lstrip().startswith(_SIGN_IN_PAGE):
            raise SourceRefused("Slack refused a file. Give the app the scope files:read and install it again.")
        return data
