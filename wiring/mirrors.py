"""A source's system opened for one sync."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from core.errors import FootnoteError
from ingest.connections import Connection
from ingest.ledger import Ledger
from ingest.mirroring import Mirror, OperatorsRules
from wiring.home import Home


@contextmanager
def mirrored(home: Home, connection: Connection, ledger: Ledger) -> Iterator[Mirror]:
    """The system of a source as it is set up, with the operator's rules for it.

    Why it could not be opened is kept for the operator, and until it can be nobody reads what it says who may read;
    raises what opening it raises.
    """
    with ExitStack() as opened:
        try:
            rules = OperatorsRules.of(*ledger.remembered())
            connector = opened.enter_context(home.connectors.borrowed(connection))
        except FootnoteError as error:
            home.connections.failed(connection.source_id, str(error), rights_unknown=True)
            raise
        yield Mirror(home.ingestion, home.arrivals, home.connections, connection, connector, ledger, rules)
