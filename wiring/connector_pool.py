"""Connectors that stay open for the next document of their source: signing in takes longer than most documents."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.errors import NotFound, UnreadableDocument
from ingest.connections import Connection
from ingest.connectors.protocol import Connector


class ConnectorPool:
    """Open connectors, lent to one thread at a time and kept for the next document of the same source."""

    def __init__(self, open_connector: Callable[[Connection], Connector]) -> None:
        self._open = open_connector
        self._idle: dict[str, list[Connector]] = {}
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def borrowed(self, connection: Connection) -> Iterator[Connector]:
        """A connector of the source as it is set up now; one that failed is not lent again."""
        key = repr((connection.source_id, connection.kind, sorted(connection.settings.items()), connection.secret))
        with self._lock:
            idle = self._idle.setdefault(key, [])
            connector = idle.pop() if idle else None
        connector = connector or self._open(connection)
        whole = False
        try:
            yield connector
            whole = True
        except (UnreadableDocument, NotFound):
            whole = True  # that is about a document, not about the connector
            raise
        finally:
            with self._lock:
                kept = whole and not self._closed
                if kept:
                    self._idle[key].append(connector)
            if not kept:
                connector.close()

    def close(self) -> None:
        """Close the connectors that are idle now, and each that is out when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for connectors in idle.values():
            for connector in connectors:
                connector.close()
