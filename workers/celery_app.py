"""Celery on Redis: the doorbell of the table of jobs, and a pool of processes that answer it.

A message names a job's id and nothing else, is taken before the work and never sent again by the broker: what it woke
for is in the table, where leases recover what a killed process had, and the sweep rings for what has lost its message.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial

import redis
from celery import Celery, Task, signals
from celery.beat import EmbeddedService, Scheduler
from celery.worker.request import Request
from kombu.exceptions import OperationalError
from kombu.transport.virtual import QoS
from structlog.typing import FilteringBoundLogger

from core.errors import Transient
from core.logs import json_log
from core.settings import Settings
from wiring.home import Home
from wiring.lifecycle import open_home
from workers.doorbell import QUEUES, asked_once
from workers.run import outlived, run_next
from workers.sweeping import sweep, waiting

_PREFIX = "footnote."
_RUN, _SWEEP = "footnote.run", "footnote.sweep"

# Whoever rings waits no longer than this for the broker; a worker listens longer than the broker is ever silent.
_PATIENCE_SECONDS = 2.0
_LISTENING_SECONDS = 30.0


class _Request(Request):  # type: ignore[misc]
    """A message taken by this worker."""

    acknowledged: bool

    def acknowledge(self) -> None:
        """Take the message off the broker; where that cannot be reached, count it as taken all the same.

        Celery's own would leave it in hand for ever: with a prefetch of one the worker would take no other message
        and fall silent. If the broker still has this one, it comes again later and wakes somebody for nothing.
        """
        if not self.acknowledged:
            try:
                self.message.ack()
            except self.connection_errors:
                QoS.ack(self.message.channel.qos, self.message.delivery_tag)  # type: ignore[no-untyped-call]
            self.acknowledged = True


class _Rung(Task):  # type: ignore[misc]
    Request = _Request
    ignore_result = True


def create_app(settings: Settings) -> Celery:
    """The Celery application of one home's workers; connects to nothing yet."""
    app = _client(_url(settings), _LISTENING_SECONDS)
    homes: dict[int, Home] = {}

    def home() -> Home:
        # Opened in each process of the pool, after the fork: connections and models cannot be shared with it.
        if os.getpid() not in homes:
            homes[os.getpid()] = open_home(settings)
        return homes[os.getpid()]

    @app.task(name=_RUN, base=_Rung, bind=True)  # type: ignore[untyped-decorator]
    def run(task: object, job_id: str) -> None:
        """Do the job whose turn it is in the queue that rang: the one rung for, unless others come before it."""
        queue: str = task.request.delivery_info["routing_key"].removeprefix(_PREFIX)  # type: ignore[attr-defined]
        log, done = json_log(settings.log_level, job_id=job_id), False
        with outlived(log, "no job claimed"):
            done = run_next(home(), [queue])
        if done:
            with outlived(log, "not rung again"):
                ring_again(home(), [queue])

    @app.task(name=_SWEEP, base=_Rung)  # type: ignore[untyped-decorator]
    def sweep_task() -> None:
        """Recover what is lost, queue what is due, and ring where no message waits."""
        with outlived(json_log(settings.log_level), "sweep not done"):
            sweep(home())
            ring_again(home(), QUEUES)

    app.conf.beat_schedule = {
        "sweep": {
            "task": _SWEEP,
            "schedule": settings.job_lease_s / 2,
            # A sweep that nobody did in time is done by the next.
            "options": {"queue": f"{_PREFIX}upkeep", "expires": settings.job_lease_s},
        }
    }
    return app


def send(settings: Settings, jobs: Iterable[tuple[str, str]]) -> None:
    """Send a message for each (queue, job id); what the broker does not take now, the sweep rings for later."""
    app = _client(_url(settings), _PATIENCE_SECONDS)
    try:
        with app.producer_or_acquire() as producer:
            for queue, job_id in jobs:
                app.send_task(_RUN, args=[job_id], queue=f"{_PREFIX}{queue}", producer=producer, ignore_result=True)
    except (OperationalError, redis.RedisError, OSError) as error:
        json_log(settings.log_level).warning("broker not reached", error=type(error).__name__)


def ring_again(home: Home, queues: Sequence[str]) -> None:
    """Ring for the jobs of each of these queues in which jobs wait and no message does.

    Their messages were lost, or there were more jobs than are rung for at once.
    """
    for queue in queues:
        if not _messages(home.settings, queue) and (ids := waiting(home, queue)):
            send(home.settings, [(queue, job_id) for job_id in ids])


def _messages(settings: Settings, queue: str) -> int:
    """How many messages wait in a queue; raises `Transient` when the broker cannot be reached."""
    with asked_once(_url(settings), _PATIENCE_SECONDS) as client:
        try:
            return int(client.llen(f"{_PREFIX}{queue}"))
        except redis.RedisError as error:
            raise Transient(f"Redis cannot be reached ({type(error).__name__}). Jobs wait in the table.") from error


def _url(settings: Settings) -> str:
    assert settings.redis_url is not None
    return settings.redis_url.get_secret_value()


@lru_cache
def _client(url: str, patience_s: float) -> Celery:
    app = Celery("footnote", broker=url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_enable_prefetch_count_reduction=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": patience_s,
            "socket_connect_timeout": _PATIENCE_SECONDS,
            "socket_keepalive": True,
        },
        enable_utc=True,
        timezone="UTC",
    )
    return app


def serve(settings: Settings, queues: Sequence[str], concurrency: int, beat: bool) -> int:
    """Work until SIGTERM or SIGINT, which let the jobs in progress end; returns the exit code.

    With `beat` this process also rings for the sweep, twice a lease; one in a cluster has to, more do no harm.
    """
    app = create_app(settings)
    signals.setup_logging.connect(partial(_log_as_json, settings.log_level), weak=False)
    worker = app.Worker(
        hostname=f"footnote@{socket.gethostname()}-{os.getpid()}",
        queues=[f"{_PREFIX}{queue}" for queue in queues],
        concurrency=concurrency,
        pool="prefork",
        optimization="fair",
        loglevel=settings.log_level.upper(),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    if beat:
        clock = EmbeddedService(app, thread=True, scheduler_cls=Scheduler)
        clock.daemon = True
        signals.worker_ready.connect(lambda **_: clock.start(), weak=False)
    worker.start()
    return int(worker.exitcode or 0)


def _log_as_json(level: str, **_: object) -> None:
    """Celery's own notes as ours: they name tasks, queues and processes, and no argument but a job's id."""
    handler = _JsonHandler(json_log(level))
    # Its notes on every message are less than our line on every job.
    logging.basicConfig(level=max(logging.WARNING, logging.getLevelName(level.upper())), handlers=[handler], force=True)


class _JsonHandler(logging.Handler):
    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        note = {"logger": record.name, "message": record.getMessage()} | ({"error": error} if error else {})
        self._log.log(record.levelno, "worker", **note)
