"""moto's S3 on 127.0.0.1, which knows one user's access key; in front of it, what a store does on a bad day."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

from moto import settings as moto_settings
from moto.backends import get_backend
from moto.core.authorization import ActionAuthenticatorMixin
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

ACCOUNT, ACCESS_KEY = "123456789012", "AKIAIOSFODNN7EXAMPLE"
_RIGHTS = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
# What a store answers where a thousand deleted objects stand before the next that is there.
_HOLLOW = (
    "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>hollow</NextContinuationToken></ListBucketResult>"
)


class BucketServer:
    """A store with one access key.

    `busy` holds the Retry-After of the next answers, `denied` the keys that it keeps back, `cut` after how many bytes
    the next object breaks off, `hollow` how many of the next pages are empty; `public` asks for no signature.
    """

    def __init__(self, secret: str) -> None:
        self.busy: list[float | None] = []
        self.denied: set[str] = set()
        self.cut: int | None = None
        self.public = False
        self.hollow = 0
        self.calls: list[str] = []
        self.port = 0
        self._store: Callable[..., Iterable[bytes]] = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self._before = moto_settings.INITIAL_NO_AUTH_ACTION_COUNT
        for service in ("s3", "iam", "sts"):
            get_backend(service).reset()  # type: ignore[attr-defined]
        users: Any = get_backend("iam")[ACCOUNT]["aws"]
        users.create_user("us-east-1", "reader")
        users.put_user_policy("reader", "all", _RIGHTS)
        key = users.create_access_key("reader")
        key.access_key_id, key.secret_access_key = ACCESS_KEY, secret
        users.access_keys[ACCESS_KEY] = key
        # From now on moto checks each signature.
        moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        ActionAuthenticatorMixin.request_count = 0

    @property
    def backend(self) -> Any:
        """The store from within, as its people change it."""
        return get_backend("s3")[ACCOUNT]["aws"]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = make_server(
            "127.0.0.1", self.port, self._answer, threaded=True, request_handler=MotoRequestHandler
        )
        self.port = self._server.port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close(self) -> None:
        self.stop()
        moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = self._before
        ActionAuthenticatorMixin.request_count = 0

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.calls.append(f"{environ['REQUEST_METHOD']} {path}?{unquote(environ['QUERY_STRING'])}")
        if self.busy:
            seconds = self.busy.pop()
            headers = [] if seconds is None else [("Retry-After", f"{seconds:g}")]
            return _error(start, "503 Slow Down", "SlowDown", headers)
        if self.hollow and "list-type=2" in environ["QUERY_STRING"]:
            self.hollow -= 1
            asked = parse_qs(environ["QUERY_STRING"])
            if "continuation-token" not in asked:
                self.backend._pagination_tokens["hollow"] = asked.get("start-after", [""])[0]
            return _xml(start, "200 OK", _HOLLOW)
        if path.split("/", 2)[-1] in self.denied:
            return _error(start, "403 Forbidden", "AccessDenied", [])
        if "HTTP_AUTHORIZATION" not in environ and not self.public:
            return _error(start, "403 Forbidden", "AccessDenied", [])
        moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf") if "HTTP_AUTHORIZATION" not in environ else 0
        content = self._store(environ, start)
        if self.cut is not None and "list-type" not in environ["QUERY_STRING"]:
            size, self.cut = self.cut, None
            return [b"".join(content)[:size]]
        return content


def _error(start: Callable[..., Any], status: str, code: str, headers: list[tuple[str, str]]) -> Iterable[bytes]:
    words = f"<Error><Code>{code}</Code><Message>what the store says of wombats</Message></Error>"
    return _xml(start, status, words, headers)


def _xml(
    start: Callable[..., Any], status: str, words: str, headers: Sequence[tuple[str, str]] = ()
) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/xml"), *headers])
    return [f'<?xml version="1.0" encoding="UTF-8"?>{words}'.encode()]
