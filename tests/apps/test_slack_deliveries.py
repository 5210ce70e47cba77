"""What Slack delivers is claimed by one of many, taken over from the dead and settled once, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from apps.slack.deliveries import Deliveries
from wiring.home import Home


def test_of_many_who_claim_a_delivery_at_once_one_gets_it(home: Home) -> None:
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda _: Deliveries(home.catalog).claim("Ev1"), range(24)))

    assert sum(claim is not None for claim in claims) == 1


def test_a_delivery_is_taken_over_after_its_lease_and_only_the_last_holder_settles_it(home: Home) -> None:
    deliveries = Deliveries(home.catalog, timedelta(0))
    first = deliveries.claim("Ev1")
    second = deliveries.claim("Ev1")
    assert first
    assert second

    assert not deliveries.settle(first)
    assert not deliveries.is_settled("Ev1")
    assert deliveries.settle(second)
    assert deliveries.is_settled("Ev1")
    assert deliveries.claim("Ev1") is None


def test_a_delivery_that_was_given_back_may_be_claimed_again_and_by_its_holder_alone(home: Home) -> None:
    deliveries = Deliveries(home.catalog, timedelta(0))
    first = deliveries.claim("Ev1")
    second = deliveries.claim("Ev1")
    assert first
    assert second
    long = Deliveries(home.catalog)
    third = long.claim("Ev1")
    assert third

    long.release(first)
    assert long.claim("Ev1") is None
    long.release(third)
    assert long.claim("Ev1")
