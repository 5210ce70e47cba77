"""Buckets: the objects below a prefix of any store that speaks Amazon's S3 (AWS, MinIO, Ceph, Garage, R2 and others).

`botocore` signs and reads the protocol: it is Amazon's own, and its corners (regions, ways of addressing, encoded keys,
a machine's role) are kept up there. How often and how long a busy store is waited for is ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

import botocore.session
import pathspec
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, IncompleteReadError
from botocore.loaders import create_loader
from botocore.parsers import ResponseParserError
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from ingest.connectors.api import Patience, retry_after
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.protocol import Listed, Page, WithoutPermissions
from ingest.connectors.setting_types import Patterns, link_with

MAX_DOCUMENT_BYTES = 100_000_000
CONNECT_S, READ_S = 10, 60

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_MD5 = re.compile(r"[0-9a-f]{32}")
_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_PIECE_BYTES = 1 << 20

_BUSY = frozenset({"SlowDown", "ServiceUnavailable", "Throttling", "TooManyRequests", "RequestLimitExceeded"})
_BUSY_STATUS = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_DOWN = frozenset({"InternalError", "RequestTimeout", "OperationAborted"})
_ELSEWHERE = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_GONE = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NotFound"})
_OF_ONE = _GONE | {"AccessDenied", "InvalidObjectState", "403"}
"""What a store says of one object, while it gives the others."""

# Nothing that happens to be configured on this machine has a say: neither files nor variables name any other profile.
_UNCONFIGURED = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}

T = TypeVar("T")


class S3Settings(BaseModel):
    """Which objects of which bucket; the secret access key is given apart."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    bucket: str = Field(description="Name of the bucket.")
    prefix: str = Field("", description="What the keys to bring in begin with.")
    endpoint_url: str | None = Field(None, description="Address of the store; by default Amazon's for the region.")
    region: str = Field("us-east-1", description="Region that requests are signed for.")
    credentials: Literal["key", "machine", "none"] = Field(
        "key",
        description="`key`: access_key_id and its secret; `machine`: this machine's role; `none`: a public bucket.",
    )
    access_key_id: str | None = Field(None, description="Id of the access key; its secret is given apart.")
    include: Patterns = Field(
        (),
        description="Patterns as in .gitignore of the keys to bring in, the last that fits deciding; none means all.",
    )
    addressing: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Where the bucket's name stands in addresses; auto: in the path where endpoint_url is set."
    )
    ca_file: str | None = Field(None, description="Certificates (PEM) that an https store is trusted by.")
    web_link: Annotated[str | None, link_with("key")] = Field(
        None, description="Where a person opens an object, with {key}; by default Amazon's console or the store itself."
    )
    page_size: int = Field(1000, ge=1, le=1000, description="Keys in one page; the protocol has 1,000 at most.")

    @field_validator("bucket")
    @classmethod
    def _a_bucket(cls, bucket: str) -> str:
        if not _BUCKET.fullmatch(bucket):
            raise ValueError("a bucket's name holds letters, digits, dots, dashes and underscores only")
        return bucket

    @field_validator("endpoint_url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
                raise ValueError("write an address that begins with https:// or http://")
            if "@" in parts.netloc:
                raise ValueError("no user and no password in the address: give access_key_id, and the secret apart")
        return url.rstrip("/") if url else None

    @field_validator("region")
    @classmethod
    def _a_region(cls, region: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", region):
            raise ValueError("a region is named like eu-central-1")
        return region

    @model_validator(mode="after")
    def _whose(self) -> S3Settings:
        if (self.credentials == "key") != (self.access_key_id is not None):
            raise ValueError("credentials `key` need an access_key_id, and no others have one")
        return self


class S3Cursor(Cursor):
    """A listing up to the key `after`; without one it is done, and the next begins."""

    after: str | None = None


def open_s3(
    settings: S3Settings,
    secret: SecretStr | None,
    *,
    max_document_bytes: int = MAX_DOCUMENT_BYTES,
    patience: Patience | None = None,
) -> S3:
    """The source; `secret` is the secret access key."""
    return S3(settings, secret, max_document_bytes, patience)


class S3(WithoutPermissions):
    """The objects of one bucket below a prefix.

    A key is all that a store knows an object by, so it is the id, and a renamed object is another one with the same
    revision. Stores tell of no changes: each sync lists everything, in pages that another process can go on from.
    """

    def __init__(
        self,
        settings: S3Settings,
        secret: SecretStr | None,
        max_document_bytes: int = MAX_DOCUMENT_BYTES,
        patience: Patience | None = None,
    ) -> None:
        self._settings, self._limit, self._patience = settings, max_document_bytes, patience or Patience()
        self._of = fingerprint("s3", 1, settings.endpoint_url, settings.bucket, settings.prefix, settings.include)
        self._wanted = pathspec.GitIgnoreSpec.from_lines(settings.include) if settings.include else None
        self._client = _client(settings, secret)

    def __repr__(self) -> str:
        return f"S3({self._settings.bucket!r}, {self._settings.prefix!r})"

    def changes(self, cursor: str | None) -> Iterator[Page]:
        after = read_cursor(S3Cursor, cursor, self._of).after if cursor is not None else None
        settings = self._settings
        asked: dict[str, Any] = {
            "Bucket": settings.bucket,
            "Prefix": settings.prefix,
            "MaxKeys": settings.page_size,
            # Says of an archived object whether it was restored; stores that do not know it leave it unread.
            "OptionalObjectAttributes": ["RestoreStatus"],
        }
        position = {"StartAfter": after} if after is not None else {}
        while True:
            answer: Mapping[str, Any] = self._patiently(partial(self._client.list_objects_v2, **asked, **position))
            entries = answer.get("Contents", [])
            # A page may be empty and not the last: the store has passed over what was deleted.
            last = not answer.get("IsTruncated", False)
            after = entries[-1]["Key"] if entries else after
            if not last:
                position = {"ContinuationToken": self._token(answer)}
            wanted = [entry for entry in entries if self._is_wanted(entry["Key"])]
            yield Page(
                listed=[self._listed(entry) for entry in wanted if not _is_archived(entry)],
                refused=[
                    (entry["Key"], f"it is archived ({entry['StorageClass']}); restore it in the store to bring it in")
                    for entry in wanted
                    if _is_archived(entry)
                ],
                cursor=str(S3Cursor(of=self._of, after=None if last else after)),
                whole=True,
                last=last,
            )
            if last:
                return

    def fetch(self, document: Listed) -> bytes:
        try:
            return self._patiently(lambda: self._read(document.external_id))
        except ClientError as error:
            if _code(error) in _GONE:
                raise NotFound("object of a bucket", document.external_id) from error
            if _code(error) == "InvalidObjectState":
                raise UnreadableDocument("unsupported", "It is archived; restore it in the store.") from error
            raise UnreadableDocument(
                "unreadable",
                f"The store does not give it to our access key ({_code(error)}); the key needs s3:GetObject on it, "
                "and the right to use the key it is encrypted with.",
            ) from error

    def close(self) -> None:
        self._client.close()

    def _token(self, answer: Mapping[str, Any]) -> str:
        token = answer.get("NextContinuationToken")
        if not token:
            raise Transient(f"The bucket {self._settings.bucket!r} says that its list goes on, and not where.")
        return str(token)

    def _listed(self, entry: Mapping[str, Any]) -> Listed:
        key = entry["Key"]
        # An ETag differs whenever the bytes do, whether it is a hash of them (one part) or not (several, encrypted).
        tag = entry["ETag"].strip('"')
        return Listed(
            key, key.rpartition("/")[2], self._link(key), f"{tag}:{entry['Size']}", hashed=bool(_MD5.fullmatch(tag))
        )

    def _link(self, key: str) -> str:
        settings = self._settings
        if settings.web_link:
            return settings.web_link.format(key=quote(key))
        if settings.endpoint_url:
            return f"{settings.endpoint_url}/{settings.bucket}/{quote(key)}"
        console = "https://console.aws.amazon.com/s3/object"
        return f"{console}/{settings.bucket}?region={settings.region}&prefix={quote(key, safe='')}"

    def _is_wanted(self, key: str) -> bool:
        # Consoles show folders by objects whose keys end so; Hadoop's tools have a suffix of their own for them.
        if key.endswith(("/", "_$folder$")):
            return False
        return self._wanted is None or bool(self._wanted.match_file(key))

    def _read(self, key: str) -> bytes:
        answer = self._client.get_object(Bucket=self._settings.bucket, Key=key)
        body = answer["Body"]
        try:
            self._within_limit(answer.get("ContentLength") or 0)
            data = bytearray()
            while piece := body.read(_PIECE_BYTES):
                data += piece
                self._within_limit(len(data))
            return bytes(data)
        finally:
            body.close()

    def _within_limit(self, size: int) -> None:
        if size > self._limit:
            raise UnreadableDocument(
                "too_large", f"It is {size:,} bytes long or longer and the limit is {self._limit:,} bytes; split it."
            )

    def _patiently(self, act: Callable[[], T]) -> T:
        """What `act` returns, tried again while the store is busy or away.

        Raises ours for what concerns the store as a whole, and `ClientError` where it does not give one object.
        """
        where, problem = f"The bucket {self._settings.bucket!r}", ""
        for attempt in range(self._patience.attempts):
            asked_for: float | None = None
            try:
                return act()
            except ClientError as error:
                problem, asked_for = self._busy(error)
            except (ConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError) as error:
                problem = f"it could not be reached ({type(error).__name__})"
            except BotoCoreError as error:
                # What botocore finds before it asks: no credentials on this machine, or none that it can read.
                raise SourceRefused(
                    f"{where} was not asked ({type(error).__name__}); see to the credentials of this source."
                ) from error
            if attempt + 1 < self._patience.attempts:
                self._patience.wait(attempt, asked_for)
        raise Transient(f"{where} is busy or down: {problem}, {self._patience.attempts} times.")

    def _busy(self, error: ClientError) -> tuple[str, float | None]:
        """What is wrong and how long to wait, where waiting helps; raises for everything else."""
        code, metadata = _code(error), error.response.get("ResponseMetadata", {})
        status = int(metadata.get("HTTPStatusCode", 0))
        if code in _BUSY or status in _BUSY_STATUS:
            return f"it answered {code}", retry_after(metadata.get("HTTPHeaders", {}))
        if code in _DOWN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return f"it answered {code}", None
        settings = self._settings
        if code == "NoSuchBucket":
            raise SourceRefused(f"There is no bucket {settings.bucket!r}; correct its name.") from None
        if code in _ELSEWHERE or status in range(300, 400):
            raise SourceRefused(
                f"The bucket {settings.bucket!r} is not in the region {settings.region!r} ({code}); "
                "correct region or endpoint_url."
            ) from None
        if code == "RequestTimeTooSkewed":
            raise SourceRefused("This machine's clock differs from the store's; set it right.") from None
        if error.operation_name == "GetObject" and (code in _OF_ONE or code.startswith("KMS")):
            raise error
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or code == "InvalidAccessKeyId":
            raise SourceRefused(
                f"The bucket {settings.bucket!r} refused the access key ({code}). Renew it, or give it the rights that "
                "docs/sources.md names."
            ) from None
        raise SourceRefused(f"The bucket {settings.bucket!r} refused what we asked ({code}).") from None


@cache
def _definitions() -> Any:
    """botocore's description of the protocol, which takes longer to read than a client to make."""
    return create_loader()


def _client(settings: S3Settings, secret: SecretStr | None) -> Any:
    session = botocore.session.Session(None if settings.credentials == "machine" else _UNCONFIGURED)
    session.register_component("data_loader", _definitions())
    own: dict[str, Any] = {}
    if settings.credentials == "key":
        if secret is None:
            raise SourceRefused(f"The bucket {settings.bucket!r} needs the secret of its access key.")
        own = {"aws_access_key_id": settings.access_key_id, "aws_secret_access_key": secret.get_secret_value()}
    style = settings.addressing
    if style == "auto" and settings.endpoint_url:
        style = "path"
    return session.create_client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        verify=settings.ca_file,
        config=Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"total_max_attempts": 1, "mode": "standard"},
            s3={"addressing_style": style},
            signature_version=UNSIGNED if settings.credentials == "none" else None,
            ignore_configured_endpoint_urls=True,
            # Stores other than Amazon's have none of its newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # None of the environment's.
            proxies={},
        ),
        **own,
    )


def _is_archived(entry: Mapping[str, Any]) -> bool:
    restored = entry.get("RestoreStatus", {}).get("RestoreExpiryDate") is not None
    return entry.get("StorageClass") in _ARCHIVED and not restored


def _code(error: ClientError) -> str:
    """The store's word for what is wrong; no other part of its answer is shown."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if re.fullmatch(r"[A-Za-z0-9.]{1,64}", code) else "an unknown code"
