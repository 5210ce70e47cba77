"""A home with documents of several people and batches over it, for the tests of batches."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from apps.administration import Administration
from apps.batches import BatchDesk, read_questions
from catalog.batches import BatchResultRow
from core.cancellation import Cancellation
from core.principals import Principal, parse_grantee
from generation.batch.results import Format
from generation.batch.running import BatchRunner
from generation.model_answerer import ModelAnswerer, ModelLimits
from governance.access.rules import AccessLists
from governance.identity import ADMINISTRATOR
from inference.chat import ChatModel
from wiring.home import Home

ANA, BEN = Principal("local", "ana"), Principal("local", "ben")
LEAVE = "# Leave\n\nFull-time employees have 27 days of annual leave.\n"
MERGER = "# Merger\n\nThe agreed purchase price of the merger is 18 million euros.\n"
HOW_MUCH_LEAVE = "How many days of annual leave do full-time employees have?"
WHAT_PRICE = "What is the agreed purchase price of the merger?"


@dataclass(frozen=True)
class Office:
    """A home and how tests act in it."""

    home: Home

    def add(self, external_id: str, text: str, allow: str) -> str:
        """Bring a document in; its id."""
        lists = AccessLists(frozenset({parse_grantee(allow)}))
        administration = Administration(self.home, ADMINISTRATOR, "test")
        report, document_id = administration.upload("handbook", external_id, text.encode(), lists)
        assert not report.failures and document_id
        return document_id

    def revoke(self, principal: Principal, document_id: str) -> None:
        Administration(self.home, ADMINISTRATOR, "test").revoke(principal.grantee, document_id)

    def grant(self, principal: Principal, document_id: str) -> None:
        Administration(self.home, ADMINISTRATOR, "test").grant(principal.grantee, document_id)

    def desk(self, principal: Principal = ANA, actor: str = "operator:ops") -> BatchDesk:
        return BatchDesk(self.home, principal, actor)

    def begin(
        self,
        questions: Iterable[str],
        principal: Principal = ANA,
        per_document: str | None = None,
        *,
        with_jobs: bool = False,
    ) -> str:
        """A batch with all its rows; its id."""
        data = "\n".join(json.dumps(question) for question in questions).encode()
        sheet, desk = read_questions("questions.jsonl", data), self.desk(principal)
        batch_id = desk.begin("questions.jsonl", sheet, per_document)
        desk.load(batch_id, sheet, with_jobs=with_jobs)
        return batch_id

    def run(self, batch_id: str, runner: BatchRunner | None = None) -> None:
        (runner or self.home.batch_runner).run(batch_id, 2, Cancellation(), lambda: None)

    def read(self, batch_id: str, principal: Principal = ANA, form: Format = "jsonl") -> list[dict[str, Any]]:
        """The results as JSON Lines, read back."""
        target = io.BytesIO()
        self.desk(principal).write(batch_id, form, target)
        return [json.loads(line) for line in target.getvalue().decode().split("\n")[:-1]]

    def states(self, batch_id: str) -> list[str]:
        """Of every row, in order."""
        with self.home.catalog.read() as session:
            rows = session.query(BatchResultRow).filter_by(batch_id=batch_id).order_by(BatchResultRow.ordinal)
            return [row.state for row in rows]

    def asked(self, question: str) -> int:
        """How often the audit log says that this was asked."""
        intents = self.home.audit_reader.newest(limit=10_000)
        contents = [one.content for one in intents if one.record.kind == "intent" and one.content]
        return sum(content.get("question") == question for content in contents)

    def runner_with(self, chat: ChatModel) -> BatchRunner:
        """The runner, with this model to write answers."""
        writing = ModelAnswerer(chat, ModelLimits(200, 20.0, 1.0))
        return replace(self.home.batch_runner, ask=replace(self.home.ask, answerer=writing))
