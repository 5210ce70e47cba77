"""The doorbell: messages that wake workers where there is a broker. The table is the truth; a message may be lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import select

from catalog.jobs import JobRow
from wiring.home import Home

if TYPE_CHECKING:
    from redis import Redis

QUEUES = ("ingest", "batch", "upkeep")

# What is not rung for now waits for the sweep, which rings where no message waits any more.
RUNG_AT_ONCE = 1000


def ring(home: Home, job_ids: Sequence[str]) -> None:
    """Wake a worker for each of these jobs, once they are committed; never raises because the broker is down."""
    if home.settings.redis_url is None:
        return  # the threads of `footnote serve` look for themselves
    from workers.celery_app import send

    with home.catalog.read() as session:
        query = select(JobRow.queue, JobRow.id).where(JobRow.id.in_(job_ids[:RUNG_AT_ONCE]), JobRow.state == "queued")
        send(home.settings, [(queue, job_id) for queue, job_id in session.execute(query)])


def answers(home: Home, seconds: float) -> bool:
    """Whether the broker answers within so long, or there is none to answer. Without it jobs wait; none is lost."""
    if home.settings.redis_url is None:
        return True
    from redis import RedisError

    try:
        with asked_once(home.settings.redis_url.get_secret_value(), seconds) as broker:
            return bool(broker.ping())
    except RedisError:
        return False


def asked_once(url: str, seconds: float) -> Redis:
    """A client that waits so long for each answer and asks no second time; the library's own asks eleven times."""
    # Imported here because most commands never speak to a broker.
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)
    return Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=once)
