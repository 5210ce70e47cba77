"""What the rows of a batch hold, sealed with the key of the person who asks, each at its own place."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from pydantic import TypeAdapter

from catalog.batches import BatchQuestionRow, BatchResultRow, BatchRow
from core.answers import Answer
from core.batches import BatchQuestion
from core.principals import Principal
from governance.sealing import Sealing

ERASED = "It was erased."


@dataclass(frozen=True)
class About:
    """Whose rights decide, on whose behalf, and how the file was laid out; `document_ids` are those of a grid."""

    principal: Principal
    actor: str
    name: str
    columns: tuple[str, ...]
    pattern: str | None = None
    document_ids: tuple[str, ...] = ()


_ABOUT = TypeAdapter(About)
_ANSWER = TypeAdapter(Answer)


@dataclass(frozen=True)
class BatchSealing:
    """Seals and opens the parts of batches. What is opened is None once its owner's key has been destroyed."""

    sealing: Sealing

    def about(self, owner: str, batch_id: str, about: About) -> bytes:
        return self.sealing.seal(owner, ("batch", batch_id), _ABOUT.dump_json(about))

    def open_about(self, batch: BatchRow) -> About | None:
        content = self.sealing.open(batch.owner, ("batch", batch.id), batch.about)
        return _ABOUT.validate_json(content) if content else None

    def question(self, owner: str, batch_id: str, number: int, question: BatchQuestion) -> bytes:
        content = json.dumps(asdict(question)).encode()
        return self.sealing.seal(owner, ("batch question", batch_id, number), content)

    def open_question(self, owner: str, row: BatchQuestionRow) -> BatchQuestion | None:
        content = self.sealing.open(owner, ("batch question", row.batch_id, row.number), row.content)
        return BatchQuestion(**json.loads(content)) if content else None

    def answer(self, owner: str, batch_id: str, ordinal: int, answer: Answer) -> bytes:
        """An answer without what else came near: a batch shows answers, and looks at what it shows again."""
        kept = replace(answer, rewritten_question=None, nearest=())
        return self.sealing.seal(owner, ("batch result", batch_id, ordinal), _ANSWER.dump_json(kept))

    def open_answer(self, owner: str, row: BatchResultRow) -> Answer | None:
        content = self._result(owner, row)
        return _ANSWER.validate_json(content) if content else None

    def cause(self, owner: str, batch_id: str, ordinal: int, cause: str) -> bytes:
        return self.sealing.seal(owner, ("batch result", batch_id, ordinal), cause.encode())

    def open_cause(self, owner: str, row: BatchResultRow) -> str:
        content = self._result(owner, row)
        return content.decode() if content else ERASED

    def _result(self, owner: str, row: BatchResultRow) -> bytes | None:
        return self.sealing.open(owner, ("batch result", row.batch_id, row.ordinal), row.result or b"")
