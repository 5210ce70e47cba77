"""The queue of jobs, on both databases: a job is one worker's at a time, and is neither lost nor done twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from catalog.database import Catalog
from catalog.job_queue import WORKER_LOST, ClaimedJob, JobQueue, NewJob
from catalog.job_records import count_jobs, find_job, list_jobs, oldest_queued, progress
from catalog.jobs import JobRow
from core.errors import Conflict, LeaseLost, NotFound, Transient

LEASE = timedelta(seconds=30)


@pytest.fixture
def queue(catalog: Catalog) -> JobQueue:
    return JobQueue(catalog, LEASE, attempts=3)


def job(subject: str = "one", **more: object) -> NewJob:
    return NewJob(**{"kind": "ingest", "queue": "ingest", "subject_id": subject, **more})  # type: ignore[arg-type]


def claimed(queue: JobQueue) -> ClaimedJob:
    found = queue.claim("worker", ["ingest"])
    assert found is not None
    return found


def end_leases(catalog: Catalog) -> None:
    """As if every worker had been silent for longer than a lease."""
    with catalog.write() as session:
        session.execute(update(JobRow).values(lease_until=datetime(2001, 1, 1, tzinfo=UTC)))


def end_pauses(catalog: Catalog) -> None:
    with catalog.write() as session:
        session.execute(update(JobRow).values(not_before=datetime(2001, 1, 1, tzinfo=UTC)))


def test_a_job_is_claimed_once_and_done(queue: JobQueue, catalog: Catalog) -> None:
    [job_id] = queue.enqueue([job()])

    mine = claimed(queue)

    assert (mine.id, mine.subject_id, mine.attempt) == (job_id, "one", 1)
    assert queue.claim("other", ["ingest"]) is None
    assert find_job(catalog, job_id).state == "running"
    queue.complete(mine)
    view = find_job(catalog, job_id)
    assert (view.state, view.finished_at is None, view.lease_until) == ("done", False, None)


def test_jobs_are_claimed_by_priority_then_in_the_order_they_came(queue: JobQueue) -> None:
    queue.enqueue([job(f"batch {number}", priority=10) for number in range(3)])
    queue.enqueue([job(f"interactive {number}") for number in range(3)])

    order = [claimed(queue).subject_id for _ in range(6)]

    assert order == [f"{kind} {number}" for kind in ("interactive", "batch") for number in range(3)]


def test_the_turn_of_a_job_counts_in_all_queues_of_a_worker_together(queue: JobQueue) -> None:
    queue.enqueue([job("row", queue="batch", priority=10), job("first"), job("sync", queue="upkeep"), job("second")])

    order = [found.subject_id for _ in range(4) if (found := queue.claim("worker", ["batch", "ingest", "upkeep"]))]

    assert order == ["first", "sync", "second", "row"]


def test_a_worker_takes_from_its_queues_only(queue: JobQueue) -> None:
    queue.enqueue([job(queue="batch")])

    assert queue.claim("worker", ["ingest", "upkeep"]) is None
    assert queue.claim("worker", ["ingest", "batch"]) is not None


def test_beside_a_job_only_one_like_it_is_taken_and_only_in_its_turn(queue: JobQueue) -> None:
    queue.enqueue([job("a"), job("b"), job("sync", kind="source-sync"), job("c")])
    mine = claimed(queue)

    assert (second := queue.claim("worker", ["ingest"], like=mine)) is not None
    assert second.subject_id == "b"
    assert queue.claim("worker", ["ingest"], like=mine) is None  # the turn is the sync's
    assert claimed(queue).subject_id == "sync"
    assert (last := queue.claim("worker", ["ingest"], like=mine)) is not None
    assert last.subject_id == "c"


def test_a_job_that_was_tried_before_is_not_taken_beside_another(queue: JobQueue, catalog: Catalog) -> None:
    queue.enqueue([job("a"), job("b")])
    mine = claimed(queue)
    queue.fail(claimed(queue), "it failed")
    end_pauses(catalog)

    assert queue.claim("worker", ["ingest"], like=mine) is None
    assert claimed(queue).attempt == 2


def test_jobs_of_one_worker_end_together_or_none_of_them_does(queue: JobQueue, catalog: Catalog) -> None:
    ids = queue.enqueue([job("a"), job("b"), job("c")])
    mine = [claimed(queue) for _ in ids]
    queue.cancel(ids[1])

    with pytest.raises(LeaseLost), catalog.write() as session:
        queue.finish_all(session, mine)
    assert [find_job(catalog, one).state for one in ids] == ["running", "cancelled", "running"]

    with catalog.write() as session:
        queue.finish_all(session, [mine[0], mine[2]])
    assert [find_job(catalog, one).state for one in ids] == ["done", "cancelled", "done"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_several_jobs_none_is_waited_for_that_somebody_else_is_changing(queue: JobQueue, catalog: Catalog) -> None:
    """Two who each held one row and waited for the other's would be a deadlock; on SQLite writers take turns."""
    queue.enqueue([job("a"), job("b")])
    mine = [claimed(queue), claimed(queue)]

    with catalog.write() as other:
        queue.fence(other, mine[1])
        with pytest.raises(LeaseLost), catalog.write() as session:
            queue.fence_all(session, mine)
    with catalog.write() as session:
        queue.fence_all(session, mine)


def test_many_workers_at_once_never_share_a_job(queue: JobQueue) -> None:
    queue.enqueue([job(str(number)) for number in range(24)])

    def work(_: int) -> list[str]:
        mine = []
        while (found := queue.claim("worker", ["ingest"])) is not None:
            mine.append(found.subject_id)
        return mine

    with ThreadPoolExecutor(4) as pool:
        subjects = [subject for mine in pool.map(work, range(4)) for subject in mine]

    assert sorted(subjects, key=int) == [str(number) for number in range(24)]


STALE: dict[str, Callable[[JobQueue, Catalog, ClaimedJob], object]] = {
    "complete": lambda queue, _, mine: queue.complete(mine),
    "fail": lambda queue, _, mine: queue.fail(mine, "too late"),
    "heartbeat": lambda queue, _, mine: heartbeat(queue, mine),
    "give back": lambda queue, _, mine: queue.give_back(mine),
    "fence": lambda queue, catalog, mine: fence(queue, catalog, mine),
    "finish": lambda queue, catalog, mine: finish(queue, catalog, mine),
    "fence all": lambda queue, catalog, mine: fence_all(queue, catalog, mine),
    "finish all": lambda queue, catalog, mine: finish_all(queue, catalog, mine),
}


def heartbeat(queue: JobQueue, mine: ClaimedJob) -> None:
    assert queue.heartbeat([mine]) == queue.still_held([mine])
    if not queue.still_held([mine]):
        raise LeaseLost(mine.kind, mine.id)


def fence(queue: JobQueue, catalog: Catalog, mine: ClaimedJob) -> None:
    with catalog.write() as session:
        queue.fence(session, mine)


def finish(queue: JobQueue, catalog: Catalog, mine: ClaimedJob) -> None:
    with catalog.write() as session:
        queue.finish(session, mine)


def fence_all(queue: JobQueue, catalog: Catalog, mine: ClaimedJob) -> None:
    with catalog.write() as session:
        queue.fence_all(session, [mine])


def finish_all(queue: JobQueue, catalog: Catalog, mine: ClaimedJob) -> None:
    with catalog.write() as session:
        queue.finish_all(session, [mine])


@pytest.mark.parametrize("act", STALE)
@pytest.mark.parametrize("taken", ["swept", "claimed again", "cancelled"])
def test_whoever_lost_the_lease_changes_nothing(queue: JobQueue, catalog: Catalog, act: str, taken: str) -> None:
    [job_id] = queue.enqueue([job()])
    stale = claimed(queue)
    STALE["fence"](queue, catalog, stale)  # allowed as long as it is ours
    if taken == "cancelled":
        queue.cancel(job_id)
    else:
        end_leases(catalog)
        queue.sweep()
    if taken == "claimed again":
        end_pauses(catalog)
        claimed(queue)
    before = find_job(catalog, job_id)

    with pytest.raises(LeaseLost) as refused:
        STALE[act](queue, catalog, stale)

    assert find_job(catalog, job_id) == before
    assert isinstance(refused.value, Transient)


def test_what_is_published_with_a_stale_token_is_rolled_back(queue: JobQueue, catalog: Catalog) -> None:
    queue.enqueue([job()])
    stale = claimed(queue)
    end_leases(catalog)
    queue.sweep()

    with pytest.raises(LeaseLost), catalog.write() as session:
        queue.add(session, [job("published by the stale worker")])
        queue.finish(session, stale)

    assert [view.subject_id for view in list_jobs(catalog, 10)] == ["one"]


def test_a_sign_of_life_keeps_the_lease(queue: JobQueue, catalog: Catalog) -> None:
    queue.enqueue([job()])
    mine = claimed(queue)
    end_leases(catalog)

    assert queue.heartbeat([mine]) == [mine]

    assert queue.sweep() == []
    queue.complete(mine)


def test_a_lost_worker_counts_as_an_attempt_and_the_last_one_makes_a_dead_letter(
    queue: JobQueue, catalog: Catalog
) -> None:
    [job_id] = queue.enqueue([job()])
    for attempt in (1, 2, 3):
        assert claimed(queue).attempt == attempt
        end_leases(catalog)
        assert queue.sweep() == [job_id]
        view = find_job(catalog, job_id)
        assert (view.state, view.cause) == ("queued" if attempt < 3 else "dead", WORKER_LOST)
        end_pauses(catalog)

    assert queue.claim("worker", ["ingest"]) is None
    assert queue.sweep() == []


def test_a_failed_job_pauses_ever_longer_and_dies_with_its_last_cause(queue: JobQueue, catalog: Catalog) -> None:
    [job_id] = queue.enqueue([job()])
    pauses = []
    for attempt in (1, 2, 3):
        began = find_job(catalog, job_id).created_at
        state = queue.fail(claimed(queue), f"cause {attempt}")
        view = find_job(catalog, job_id)
        assert (state, view.cause) == (view.state, f"cause {attempt}")
        pauses.append(view.not_before - began)
        assert state == "dead" or queue.claim("worker", ["ingest"]) is None
        end_pauses(catalog)

    assert find_job(catalog, job_id).state == "dead"
    assert LEASE / 6 <= pauses[0] < pauses[1]


def test_what_cannot_end_otherwise_is_a_dead_letter_at_once(queue: JobQueue, catalog: Catalog) -> None:
    [job_id] = queue.enqueue([job()])

    assert queue.fail(claimed(queue), "encrypted", retry=False) == "dead"

    assert (find_job(catalog, job_id).attempts, find_job(catalog, job_id).cause) == (1, "encrypted")


def test_a_job_given_back_has_lost_no_attempt(queue: JobQueue, catalog: Catalog) -> None:
    [job_id] = queue.enqueue([job()])

    queue.give_back(claimed(queue))
    assert claimed(queue).attempt == 1
    end_leases(catalog)
    queue.sweep()
    end_pauses(catalog)
    queue.give_back(claimed(queue), "the database is busy")

    assert queue.claim("worker", ["ingest"]) is None
    assert find_job(catalog, job_id).cause == "the database is busy"
    end_pauses(catalog)
    assert claimed(queue).attempt == 2


def test_pauses_stay_short_where_many_attempts_are_allowed(catalog: Catalog) -> None:
    patient = JobQueue(catalog, LEASE, attempts=1000)
    [job_id] = patient.enqueue([job()])
    mine = claimed(patient)
    patient.give_back(mine, "the database is busy")
    view = find_job(catalog, job_id)
    assert view.not_before - view.created_at < 2 * LEASE
    end_pauses(catalog)

    patient.fail(replace(claimed(patient), attempt=999), "still no text")

    view = find_job(catalog, job_id)
    assert view.state == "queued"
    assert view.not_before - view.created_at < 20 * LEASE


def test_a_dead_letter_is_put_aside_with_its_cause(queue: JobQueue, catalog: Catalog) -> None:
    [job_id] = queue.enqueue([job()])
    queue.fail(claimed(queue), "encrypted", retry=False)

    queue.cancel(job_id)

    view = find_job(catalog, job_id)
    assert (view.state, view.cause) == ("cancelled", "encrypted")
    assert queue.forget_settled(timedelta(days=-1)) == 1


def test_work_with_a_key_waits_or_runs_once_and_may_be_queued_again_when_done(queue: JobQueue) -> None:
    first = queue.enqueue([job(once_key="sync"), job(once_key="sync")])
    assert len(set(first)) == 1
    mine = claimed(queue)
    assert queue.enqueue([job(once_key="sync")]) == [mine.id]
    queue.complete(mine)

    assert queue.enqueue([job(once_key="sync")]) != [mine.id]


def test_a_dead_letter_is_retried_with_all_its_attempts(queue: JobQueue, catalog: Catalog) -> None:
    [job_id] = queue.enqueue([job()])
    queue.fail(claimed(queue), "encrypted", retry=False)

    queue.retry(job_id)

    assert claimed(queue).attempt == 1
    with pytest.raises(Conflict, match="running"):
        queue.retry(job_id)
    queue.cancel(job_id)
    with pytest.raises(Conflict, match="cancelled"):
        queue.cancel(job_id)
    with pytest.raises(NotFound):
        queue.retry("nothing")


def test_a_moved_clock_of_a_worker_neither_takes_nor_loses_a_lease(
    queue: JobQueue, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.enqueue([job(), job("two")])
    mine = claimed(queue)

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2100, 1, 1, tzinfo=UTC)

    monkeypatch.setattr("catalog.job_queue.datetime", Ahead)
    monkeypatch.setattr("catalog.models.datetime", Ahead)
    monkeypatch.setattr(time, "time", lambda: 4102444800.0)

    assert queue.sweep() == []
    assert queue.claim("ahead", ["ingest"]) is not None
    assert find_job(catalog, mine.id).lease_until < datetime(2099, 1, 1, tzinfo=UTC)  # type: ignore[operator]


def test_counts_age_and_progress_tell_what_is_so(queue: JobQueue, catalog: Catalog) -> None:
    assert progress(catalog, "group").eta == timedelta()
    queue.enqueue([job(str(number), group_id="group") for number in range(4)])
    queue.enqueue([job("other", queue="batch")])
    assert progress(catalog, "group").eta is None
    queue.complete(claimed(queue))
    queue.fail(claimed(queue), "no text", retry=False)

    found = progress(catalog, "group")

    assert found.states == {"done": 1, "dead": 1, "queued": 2}
    assert (found.total, found.settled) == (4, 2)
    assert found.eta is not None
    assert timedelta() < found.eta < timedelta(minutes=5)
    assert found.per_second is not None and found.per_second > 0
    assert count_jobs(catalog)[("batch", "queued")] == 1
    ages = oldest_queued(catalog)
    assert set(ages) == {"ingest", "batch"}
    assert all(timedelta() <= age < timedelta(minutes=5) for age in ages.values())
    dead = list_jobs(catalog, 10, states=["dead"])
    assert [(view.cause, view.group_id) for view in dead] == [("no text", "group")]


def test_what_was_done_long_ago_is_forgotten_and_dead_letters_are_kept(queue: JobQueue, catalog: Catalog) -> None:
    queue.enqueue([job("done"), job("dead"), job("waits")])
    queue.complete(claimed(queue))
    queue.fail(claimed(queue), "no text", retry=False)

    assert queue.forget_settled(timedelta(days=1)) == 0
    assert queue.forget_settled(timedelta(days=-1)) == 1

    assert sorted(view.subject_id for view in list_jobs(catalog, 10)) == ["dead", "waits"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "publish", "fail", "silence", "heartbeat", "cancel", "retry"]), st.integers(0, 5)
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_a_job_is_published_once_by_whoever_holds_it(
    queue: JobQueue, catalog: Catalog, steps: list[tuple[str, int]]
) -> None:
    """Workers claim, fall silent and come back in any order: of all of them one publishes, and the table agrees."""
    with catalog.write() as session:
        session.execute(delete(JobRow))
    [job_id] = queue.enqueue([job()])
    hands: list[ClaimedJob] = []
    holder: ClaimedJob | None = None
    published = 0
    for step, which in steps:
        end_pauses(catalog)
        old = hands[which % len(hands)] if hands else None
        if step == "claim":
            found = queue.claim("worker", ["ingest"])
            if found is not None:
                assert holder is None
                hands.append(found)
                holder = found
        elif step == "silence":
            end_leases(catalog)
            queue.sweep()
            holder = None
        elif step in ("cancel", "retry"):
            try:
                queue.cancel(job_id) if step == "cancel" else queue.retry(job_id)
            except Conflict:
                continue
            holder = None
        elif old is not None:
            act = {"publish": queue.complete, "heartbeat": lambda one: heartbeat(queue, one)}.get(
                step, lambda one: queue.fail(one, "no")
            )
            if old == holder:
                act(old)
                published += step == "publish"
                holder = holder if step == "heartbeat" else None
            elif step != "publish" or find_job(catalog, job_id).state != "done":
                with pytest.raises(LeaseLost):
                    act(old)
    view = find_job(catalog, job_id)
    assert published == (view.state == "done")
    assert (view.state == "running") == (holder is not None)
    with catalog.read() as session:
        assert session.scalars(select(JobRow.token)).one() == len(hands)


def test_a_paused_job_waits_with_all_it_has_queued_until_it_is_resumed(queue: JobQueue) -> None:
    [parent] = queue.enqueue([job("parent")])
    children = queue.enqueue([job("a", group_id=parent), job("b", group_id=parent)])
    other = queue.enqueue([job("other")])
    running = claimed(queue)
    assert running.id == parent

    assert queue.pause(parent) == 2
    assert claimed(queue).id == other[0]
    assert queue.claim("worker", ["ingest"]) is None
    queue.complete(running)  # what runs comes to its end
    queue.cancel(children[1])

    assert queue.resume(parent) == 1
    assert claimed(queue).id == children[0]
    with pytest.raises(NotFound):
        queue.pause("nothing")


def test_a_paused_job_is_no_workers_to_recover(queue: JobQueue, catalog: Catalog) -> None:
    [paused] = queue.enqueue([job()])
    queue.pause(paused)
    end_leases(catalog)
    assert queue.sweep() == []
    assert find_job(catalog, paused).state == "paused"
