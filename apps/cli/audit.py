"""Commands on the audit log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from apps.cli.shell import AsJson, actor, emit, opened_home, operator, results, say, settings, table
from core.errors import WrongUsage
from core.principals import parse_principal
from governance.audit import Kind, Opened, new_audit_id
from wiring.home import Home
from wiring.layout import require_home

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_records(
    subject: Annotated[str | None, typer.Option(help="Only records about this person: user:ID.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"Only this kind: {', '.join(Kind)}.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only records from this moment on (UTC).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The newest records. That they were read is on record too."""
    if kind is not None and kind not in list(Kind):
        raise WrongUsage(f"{kind!r} is no kind of record; the kinds are {', '.join(Kind)}.")
    with opened_home() as home:
        _record_reading(home, "audit.list", subject=subject, kind=kind)
        records = home.audit_reader.newest(
            kind=Kind(kind) if kind else None,
            subject=parse_principal(subject) if subject else None,
            since=since.replace(tzinfo=UTC) if since else None,
            limit=limit,
        )

    def render() -> None:
        rows = table("record", "time", "kind", "subject", "what")
        for opened in records:
            rows.add_row(
                opened.record.audit_id,
                opened.record.time,
                str(opened.record.kind),
                str(opened.subject or "-"),
                _summary(opened),
            )
        results.print(rows)

    emit(as_json, [record_json(opened) for opened in records], render)


@app.command()
def show(
    record: Annotated[str, typer.Argument(metavar="ID", help="The audit id of an answer, search or change.")],
    as_json: AsJson = False,
) -> None:
    """Everything on record under one audit id: the question, the evidence, the answer."""
    with opened_home() as home:
        _record_reading(home, "audit.show", shown=record)
        records = home.audit_reader.show(record)
    documents = [record_json(opened) for opened in records]

    def render() -> None:
        for document in documents:
            say(f"{document['time']}  {document['kind']}  {document['subject'] or '-'}  ({document['state']})")
            for name, value in (document["content"] or {}).items():
                say(f"    {name}: {value}")

    emit(as_json, {"audit_id": record, "records": documents}, render)


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Check every chain offline; exit 1 naming the first bad record's sequence number."""
    chosen = settings().settings
    require_home(chosen)
    with Home(chosen) as home:
        report = home.verify_audit()
    first = report.first
    document = {
        "ok": report.ok,
        "records": report.records,
        "chains": report.chains,
        "first_bad": {"chain": first.chain, "sequence": first.sequence, "reason": first.reason} if first else None,
    }
    emit(as_json, document, lambda: say(str(report)))
    if not report.ok:
        raise typer.Exit(1)


def record_json(opened: Opened) -> dict[str, Any]:
    """One record as it is shown: its place, and what it says where its key still exists."""
    record = opened.record
    return {
        "audit_id": record.audit_id,
        "chain": record.chain,
        "sequence": record.sequence,
        "time": record.time,
        "kind": str(record.kind),
        "subject": str(opened.subject) if opened.subject else None,
        "state": opened.state,
        "content": opened.content,
    }


def _record_reading(home: Home, action: str, **facts: Any) -> None:
    content = {"action": action, "actor": actor(), **facts}
    home.audit.append(Kind.AUDIT, operator(), content, new_audit_id())


def _summary(opened: Opened) -> str:
    content = opened.content or {}
    said = content.get("question") or content.get("query") or content.get("answer") or content.get("action") or ""
    return " ".join(str(said).split())[:80] or opened.state
