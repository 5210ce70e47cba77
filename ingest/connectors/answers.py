"""What hosted systems need and answer: a credential, lists of objects, and so many ids in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar

from pydantic import SecretStr

from core.errors import NotFound, SourceRefused, Transient
from ingest.connectors.api import Api

# How systems say that there is no such thing to be asked of this object, whatever it is.
_NOT_OF_THIS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})

T = TypeVar("T")


def needed(secret: SecretStr | None, system: str) -> SecretStr:
    """The credential; raises `SourceRefused` without one."""
    if secret is None:
        raise SourceRefused(f"{system} needs an API token as the secret.")
    return secret


def records(found: Any, key: str) -> list[dict[str, Any]]:
    """The list of objects under a key of an answer; nothing else passes for one."""
    values = found.get(key) if isinstance(found, dict) else None
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def one_page(found: Any, key: str, system: str) -> list[dict[str, Any]]:
    """A page of a listing; raises `Transient` where an answer has none: to list nothing is to say so.

    What a listing does not name counts as gone.
    """
    values = found.get(key) if isinstance(found, dict) else None
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise Transient(f"{system} answered with no list of {key} where one was asked for.")
    return values


def told_of(api: Api, path: str, params: Mapping[str, Any] | None = None) -> Any:
    """What a system answers about one of its objects; raises `NotFound` too where it says that it has no answer.

    That one cannot be asked about must not keep the others from being read.
    """
    answer = api.request("GET", path, params=params, accepted=_NOT_OF_THIS)
    if answer.status in _NOT_OF_THIS:
        raise NotFound(f"{answer.system} answer", path)
    return answer.json


def batched(values: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """The values in order, so many at once."""
    remaining = iter(values)
    while batch := tuple(islice(remaining, size)):
        yield batch
