"""What sites on a double of a hosted system have in common, and what their connectors keep to besides."""

from __future__ import annotations

from contextlib import closing
from typing import Protocol

import pytest
from conformance import Site, listing
from doubles.hosted import Hosted

from core.errors import Transient


class HostedSite:
    """A site whose double says itself that it is busy, and does not answer while it is down."""

    def __init__(self, double: Hosted) -> None:
        self.double, self.waits = double, list[float]()

    def throttle(self, times: int, seconds: float) -> bool:
        self.double.busy = [str(int(seconds))] * times
        return True

    def waited(self) -> list[float]:
        return self.waits

    def go_down(self) -> None:
        self.double.down = True

    def come_back(self) -> None:
        self.double.down = False

    def expire_cursors(self) -> bool:
        return False


class Doubled(Site, Protocol):
    @property
    def double(self) -> Hosted: ...


class HostedContract:
    """Derived as well by the tests of connectors that read such a site."""

    def test_a_listing_that_was_interrupted_goes_on_with_what_it_has_not_named(self, site: Doubled) -> None:
        for number in range(8):
            site.add(f"paper {number}", "text")
        with closing(site.connect()) as connector:
            pages = connector.changes(None)
            named = [one.external_id for one in next(iter(pages)).listed]
            cursor = next(iter(pages)).cursor
        with closing(site.connect()) as connector:
            rest = list(listing(connector, cursor)[0])
        assert len(named) == 3 and len(rest) == 2 and not set(named) & set(rest)

    def test_a_connection_that_breaks_off_is_transient(self, site: Doubled) -> None:
        site.add("paper", "text")
        site.double.drops = True
        with closing(site.connect()) as connector, pytest.raises(Transient):
            listing(connector)
