"""Jobs and standing sources, administered: for the command line and the web alike, each action on record first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.administration import Administration, checked_name
from catalog.job_records import JobView, Progress, find_job, list_jobs, progress
from core.errors import WrongUsage
from governance.access.rules import AccessLists, Decision
from ingest.arrivals import Expected
from ingest.ledger import Ledger
from ingest.sources import SourceRequest, SourceView, end_standing, find_source, list_sources, stand
from wiring.home import Home
from workers.doorbell import ring
from workers.sweeping import sync_job


@dataclass(frozen=True)
class Work:
    """What an administrator may do with jobs and sources."""

    administration: Administration

    @property
    def _home(self) -> Home:
        return self.administration.home

    def jobs(
        self, limit: int, states: Sequence[str] = (), queue: str | None = None, group_id: str | None = None
    ) -> list[JobView]:
        """At most `limit` jobs, newest first."""
        self.administration.record("jobs.list")
        return list_jobs(self._home.catalog, limit, states, queue, group_id)

    def job(self, job_id: str) -> tuple[JobView, Progress | None]:
        """One job, and how far the jobs are that it has queued, if it has any. Raises `NotFound`."""
        self.administration.record("jobs.show", job_id=job_id)
        view, group = find_job(self._home.catalog, job_id), progress(self._home.catalog, job_id)
        return view, group if group.total else None

    def failures(self, job_id: str) -> list[JobView]:
        """The dead letters among the jobs that a job has queued, newest first, at most 100."""
        return list_jobs(self._home.catalog, 100, ["dead"], group_id=job_id)

    def retry_job(self, job_id: str) -> JobView:
        """Queue a dead or cancelled job anew. Raises `NotFound` and `Conflict`."""
        self.administration.record("jobs.retry", job_id=job_id)
        self._home.jobs.retry(job_id)
        ring(self._home, [job_id])
        return find_job(self._home.catalog, job_id)

    def cancel_job(self, job_id: str) -> JobView:
        """Cancel a job that waits or runs, or put a dead letter aside. Raises `NotFound` and `Conflict`."""
        self.administration.record("jobs.cancel", job_id=job_id)
        self._home.jobs.cancel(job_id)
        return find_job(self._home.catalog, job_id)

    def sources(self) -> list[SourceView]:
        """Every source that is kept in step or holds a document."""
        self.administration.record("sources.list")
        return list_sources(self._home.catalog)

    def source(self, named: str) -> SourceView:
        """A source by its name or id; raises `NotFound`."""
        self.administration.record("sources.show", source=named)
        return find_source(self._home.catalog, named)

    def add_source(self, request: SourceRequest) -> tuple[SourceView, str]:
        """Keep a folder in step; returns the source, and the job that brings it in step first."""
        self.administration.record(
            "sources.add", source=request.name, path=str(request.path), allow=[str(one) for one in request.allow]
        )
        source_id = stand(self._home.catalog, self._home.layout.folder, request)
        return find_source(self._home.catalog, str(source_id)), self._queue_sync(source_id)

    def sync_source(self, named: str) -> str:
        """Bring a standing source in step now; returns the job that does, or does so already."""
        self.administration.record("sources.sync", source=named)
        view = find_source(self._home.catalog, named)
        if not view.standing:
            raise WrongUsage(f"{view.name} is no standing source. `footnote sources add` makes it one.")
        return self._queue_sync(view.source_id)

    def remove_source(self, named: str, keep_documents: bool) -> SourceView:
        """Keep a source in step no longer, and delete its documents unless they are to stay."""
        self.administration.record("sources.remove", source=named, keep_documents=keep_documents)
        view = find_source(self._home.catalog, named)
        home, sync = self._home, sync_job(view.source_id)
        with home.catalog.write() as session:
            # Whoever is in the middle of a sync finds it taken, and brings nothing in any more.
            home.jobs.supersede(session, sync.kind, [sync.subject_id])
            home.arrivals.withdraw(session, view.name, home.arrivals.waiting(view.name))
            documents = end_standing(session, view.source_id)
        if not keep_documents:
            home.ingestion.delete(documents)
        return view

    def upload_later(self, source: str, external_id: str, data: bytes, lists: AccessLists) -> str:
        """Keep a document's bytes and queue the job that brings it in; returns the job's id.

        Who may read an earlier version of it changes at once. Raises `WrongUsage` and `Conflict`.
        """
        checked_name(external_id)
        home, uri = self._home, f"upload:{source}/{external_id}"
        self.administration.record("documents.upload", source=source, external_id=external_id, size_bytes=len(data))
        decision = Decision(lists, f"set at upload by {self.administration.actor}")
        ledger = Ledger(home.catalog, source, f"upload:{source}")
        ledger.register(*ledger.remembered())
        expected = Expected(external_id, uri, decision, home.blobs.keep(data))
        with home.catalog.write() as session:
            ids = home.arrivals.expect(session, source, [expected], None)
        ledger.apply_access([(known, decision) for known in ledger.known(external_id).values()])
        ring(home, ids)
        return ids[0]

    def _queue_sync(self, source_id: int) -> str:
        [job_id] = self._home.jobs.enqueue([sync_job(source_id)])
        ring(self._home, [job_id])
        return job_id
