"""Jobs and standing sources, administered: for the command line and the web alike, each action on record first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from apps.administration import Administration, checked_name
from catalog.job_records import JobView, Progress, find_job, list_jobs, progress
from core.attachments import holder
from core.errors import NotFound, WrongUsage
from core.principals import Grantee
from governance.access.mirrored import AccountLink, account_links, link_account, unlink_account
from governance.access.rules import AccessLists, Decision
from ingest.arrivals import Expected
from ingest.connections import Freshness
from ingest.connectors.protocol import Account
from ingest.failures import FailureGroup, failures_of, grouped
from ingest.ledger import Ledger
from ingest.mirroring import ingesting
from ingest.report import IngestReport
from ingest.sources import (
    SourceRequest,
    SourceView,
    SystemRequest,
    end_standing,
    find_source,
    list_sources,
    set_paused,
    stand,
    stand_system,
)
from wiring.connectors import checked_settings
from wiring.credentials import checked_secret
from wiring.home import Home
from wiring.mirrors import mirrored
from workers.doorbell import ring
from workers.sweeping import sync_job

Progressed = Callable[[int, int, int], None]
"""Called with documents done, documents known of, documents failed."""


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

    def pause_job(self, job_id: str) -> JobView:
        """Let a job, and those it has queued, wait; what runs comes to its end. Raises `NotFound`."""
        self.administration.record("jobs.pause", job_id=job_id)
        self._home.jobs.pause(job_id)
        return find_job(self._home.catalog, job_id)

    def resume_job(self, job_id: str) -> JobView:
        """Let a job, and those it has queued, run again. Raises `NotFound`."""
        self.administration.record("jobs.resume", job_id=job_id)
        self._home.jobs.resume(job_id)
        ring(self._home, [job_id])
        return find_job(self._home.catalog, job_id)

    def pause_source(self, named: str) -> SourceView:
        """Let a source wait, with all that is on its way in. Raises `NotFound`."""
        return self._pause(named, "sources.pause", True)

    def resume_source(self, named: str) -> SourceView:
        """Let a source go on. Raises `NotFound`."""
        return self._pause(named, "sources.resume", False)

    def _pause(self, named: str, action: str, paused: bool) -> SourceView:
        self.administration.record(action, source=named)
        view = find_source(self._home.catalog, named)
        set_paused(self._home.catalog, self._home.jobs, view.source_id, paused)
        return find_source(self._home.catalog, str(view.source_id))

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

    def add_system(self, request: SystemRequest) -> tuple[SourceView, str]:
        """Keep a system in step; returns the source, and the job that brings it in step first.

        Raises `WrongUsage` for settings that make no sense, and `Conflict` for the name of another kind of source.
        """
        return self._put_system(request), self._queue_sync(find_source(self._home.catalog, request.name).source_id)

    def ingest_system(self, request: SystemRequest, force: bool, progress: Progressed) -> IngestReport:
        """Make a source hold what the system has now, in this process. Raises as `add_system`, and as its sync does.

        A source that is there already keeps its settings, its credential and its interval where nothing else is said.
        """
        return self.sync_system(self._put_system(self._as_before(request)).name, force, progress)

    def _as_before(self, request: SystemRequest) -> SystemRequest:
        try:
            view = find_source(self._home.catalog, request.name)
        except NotFound:
            return request
        connection = self._home.connections.find(view.source_id)
        if connection is None:
            return request
        return replace(
            request,
            settings={**connection.settings, **request.settings},
            secret=request.secret or connection.secret,
            every=timedelta(seconds=view.every_s) if view.every_s else None,
        )

    def sync_system(self, named: str, force: bool, progress: Progressed) -> IngestReport:
        """Bring a system in step in this process; `force` lets a listing that has shrunk delete much."""
        view = find_source(self._home.catalog, named)
        connection = self._home.connections.find(view.source_id)
        if connection is None:
            raise WrongUsage(f"{view.name} is a folder: bring it in with `footnote ingest`.")
        self.administration.record("sources.sync", source=view.name, force=force)
        report = IngestReport(view.name)
        with mirrored(self._home, connection, Ledger(self._home.catalog, view.name, view.uri)) as mirror:
            done = mirror.sync(ingesting(mirror, report, progress), force)
        report.unchanged += done.unchanged
        report.deleted += done.deleted
        report.moved += done.moved
        report.warnings += done.warnings
        return report

    def _put_system(self, request: SystemRequest) -> SourceView:
        checked = replace(
            request,
            settings=checked_settings(request.kind, request.settings),
            secret=checked_secret(request.secret),
        )
        self.administration.record(
            "sources.add",
            source=request.name,
            kind=request.kind,
            settings=checked.settings,
            allow=[str(one) for one in request.allow or ()],
        )
        return find_source(self._home.catalog, str(stand_system(self._home.catalog, checked)))

    def failures_by_cause(self, source: str | None = None) -> list[FailureGroup]:
        """What could not be read, or not whole, of one source or of all, by its cause. Raises `NotFound`."""
        self.administration.record("documents.failures", source=source)
        source_id = find_source(self._home.catalog, source).source_id if source is not None else None
        return grouped(failures_of(self._home.catalog, source_id))

    def connection(self, source_id: int) -> Freshness | None:
        """How a system is reached and what it did not tell; None for a folder."""
        return self._home.connections.freshness(source_id)

    def accounts(self, named: str) -> list[Account]:
        """Everybody whom a system's lists may name, asked of it now. Raises as a sync does."""
        self.administration.record("sources.accounts", source=named)
        view = find_source(self._home.catalog, named)
        connection = self._home.connections.find(view.source_id)
        if connection is None:
            raise WrongUsage(f"{view.name} is a folder: its rules name people of ours.")
        with self._home.connectors.borrowed(connection) as connector:
            return list(connector.accounts())

    def account_links(self) -> list[AccountLink]:
        """Every account of another system that is somebody's."""
        self.administration.record("accounts.list")
        with self._home.catalog.read() as session:
            return account_links(session)

    def link_account(self, person: Grantee, account: Grantee) -> None:
        """Let a person read what their account of another system may read there. Raises `WrongUsage`."""
        self.administration.record("accounts.link", person=str(person), account=str(account))
        with self._home.catalog.write() as session:
            link_account(session, person, account)

    def unlink_account(self, account: Grantee) -> None:
        """Let an account be nobody's. Raises `NotFound`."""
        self.administration.record("accounts.unlink", account=str(account))
        with self._home.catalog.write() as session:
            unlink_account(session, account)

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

        Whom the lists keep out does not read an earlier version of it from now on. Raises `WrongUsage` and `Conflict`.
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
        earlier = [known for known in ledger.known(external_id).values() if holder(known) == external_id]
        ledger.narrow_access([(known, decision) for known in earlier])
        ring(home, ids)
        return ids[0]

    def _queue_sync(self, source_id: int) -> str:
        [job_id] = self._home.jobs.enqueue([sync_job(source_id)])
        ring(self._home, [job_id])
        return job_id
