"""Conversations: each for its owner alone, unreadable at rest, and shown only while their answers may be."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from shelf import ANA, BEN, Shelf
from sqlalchemy import text

from catalog.database import Catalog
from core.answers import Answer, Citation, NearDocument
from core.errors import AuditUnavailable, NotFound
from core.principals import Principal
from governance.audit import AuditLog, AuditReader, KeyStore, Kind
from governance.audit.keys import pseudonym_of
from governance.conversations import Conversations
from governance.doors import Gate
from governance.sealing import Sealing

CANARY = "zanzibar-quokka"
PRICE = f"The price is 18 million, says {CANARY}."
TERM = "The term is three years."


@dataclass(frozen=True)
class Desk:
    """Conversations over a shelf of documents, with their audit log."""

    shelf: Shelf
    keys: KeyStore
    audit: AuditLog
    reader: AuditReader

    @property
    def conversations(self) -> Conversations:
        return Conversations(self.shelf.catalog, Sealing(self.keys), Gate(self.shelf.catalog), self.audit)

    def answered(self, conversation_id: str, *cited: str, audit_id: str = "a-1", nearest: tuple[str, ...] = ()) -> None:
        """One more turn of ana's, whose answer quotes these documents whole."""
        citations = tuple(self._citation(number, one) for number, one in enumerate(cited, start=1))
        answer = Answer(
            question=f"What of {CANARY}?",
            principal=ANA,
            text=f"So says {CANARY}.",
            abstained=not cited,
            reason=None if cited else "low_support",
            citations=citations,
            claims=(),
            mode="extractive",
            model="test",
            nearest=tuple(NearDocument(one, "org", one, one, CANARY) for one in nearest),
            audit_id=audit_id,
            rewritten_question=f"And {CANARY}?",
        )
        assert self.conversations.add(ANA, conversation_id, answer)

    def _citation(self, marker: int, document_id: str) -> Citation:
        view, whole = Gate(self.shelf.catalog).text(ANA, document_id)
        at = (view.uri, view.title, (), None, 0, len(whole), whole)
        return Citation(marker, document_id, view.version, view.source, view.external_id, *at)

    def shown(self, conversation_id: str) -> list[bool]:
        return [turn.answer is not None for turn in self.conversations.open(ANA, conversation_id, "test")[1]]


@pytest.fixture
def desk(catalog: Catalog, tmp_path: Path) -> Iterator[Desk]:
    keys = KeyStore(tmp_path / "keys")
    keys.create()
    with AuditLog(tmp_path / "audit.db", keys, tmp_path / "audit") as audit:
        yield Desk(Shelf(catalog), keys, audit, AuditReader(tmp_path / "audit.db", keys))


def test_what_was_said_comes_back_to_its_owner_in_order(desk: Desk) -> None:
    document = desk.shelf.put("price.md", PRICE, allow="user:ana").document_id
    conversation_id = desk.conversations.create(ANA)
    for audit_id in ("a-1", "a-2", "a-3"):
        desk.answered(conversation_id, document, audit_id=audit_id)

    view, turns = desk.conversations.open(ANA, conversation_id, "test")

    assert [turn.audit_id for turn in turns] == ["a-1", "a-2", "a-3"]
    assert view.title == turns[0].question == f"What of {CANARY}?"
    answer = turns[0].answer
    assert answer and (answer.principal, answer.citations[0].quote) == (ANA, PRICE)
    assert [one.conversation_id for one in desk.conversations.listed(ANA)] == [conversation_id]


def test_the_last_turns_are_given_oldest_first(desk: Desk) -> None:
    conversation_id = desk.conversations.create(ANA)
    for number in range(5):
        desk.answered(conversation_id, audit_id=f"a-{number}")

    assert [turn.audit_id for turn in desk.conversations.turns(ANA, conversation_id, 2)] == ["a-3", "a-4"]


def test_somebody_elses_conversation_looks_like_one_that_is_not_there(desk: Desk) -> None:
    conversation_id = desk.conversations.create(ANA)
    desk.answered(conversation_id)
    absent = "0" * 32
    namesake = Principal("https://other.example", ANA.subject)

    for stranger in (BEN, namesake):
        said = []
        for name in (conversation_id, absent):
            for attempt in (desk.conversations.open, desk.conversations.delete):
                with pytest.raises(NotFound) as refused:
                    attempt(stranger, name, "test")
                said.append(str(refused.value).replace(name, "X"))
            with pytest.raises(NotFound):
                desk.conversations.turns(stranger, name, 5)
        assert len(set(said)) == 1
        assert desk.conversations.listed(stranger) == []
    assert desk.shown(conversation_id) == [True]


@pytest.mark.parametrize("name", ["", "x", "0" * 31, "\x00" * 32, "0" * 31 + "\n", "' OR 1=1 --"])
def test_what_is_no_id_names_no_conversation(desk: Desk, name: str) -> None:
    with pytest.raises(NotFound):
        desk.conversations.open(ANA, name, "test")


def test_an_answer_is_shown_while_every_document_it_cites_may_be_read(desk: Desk) -> None:
    price = desk.shelf.put("price.md", PRICE, allow="user:ana").document_id
    term = desk.shelf.put("term.md", TERM, allow="everyone").document_id
    conversation_id = desk.conversations.create(ANA)
    desk.answered(conversation_id, price, term, audit_id="both")
    desk.answered(conversation_id, term, audit_id="term")
    assert desk.shown(conversation_id) == [True, True]

    desk.shelf.revoke("user:ana", price)

    assert desk.shown(conversation_id) == [False, True]
    desk.shelf.grant("user:ana", price)
    assert desk.shown(conversation_id) == [True, True]


def test_an_abstention_is_shown_while_the_documents_it_names_may_be_read(desk: Desk) -> None:
    price = desk.shelf.put("price.md", PRICE, allow="user:ana").document_id
    conversation_id = desk.conversations.create(ANA)
    desk.answered(conversation_id, nearest=(price,))
    assert desk.shown(conversation_id) == [True]

    desk.shelf.revoke("user:ana", price)

    assert desk.shown(conversation_id) == [False]


def test_an_answer_is_withheld_once_its_quote_reads_otherwise(desk: Desk) -> None:
    price = desk.shelf.put("price.md", PRICE, allow="user:ana").document_id
    conversation_id = desk.conversations.create(ANA)
    desk.answered(conversation_id, price)

    desk.shelf.put("price.md", f"{PRICE} More was added below.", allow="user:ana")
    assert desk.shown(conversation_id) == [True]
    desk.shelf.put("price.md", PRICE.replace("18", "19"), allow="user:ana")
    assert desk.shown(conversation_id) == [False]


def test_a_withheld_turn_keeps_the_question_and_no_word_of_the_answer(desk: Desk) -> None:
    price = desk.shelf.put("price.md", PRICE, allow="user:ana").document_id
    conversation_id = desk.conversations.create(ANA)
    desk.answered(conversation_id, price)
    desk.shelf.revoke("user:ana", price)

    (turn,) = desk.conversations.open(ANA, conversation_id, "test")[1]

    assert (turn.question, turn.answer) == (f"What of {CANARY}?", None)


def test_a_rewritten_question_is_not_kept(desk: Desk) -> None:
    conversation_id = desk.conversations.create(ANA)
    desk.answered(conversation_id)

    (turn,) = desk.conversations.turns(ANA, conversation_id, 1)

    assert turn.answer and turn.answer.rewritten_question is None


def test_opening_is_on_record_with_what_was_withheld_and_shows_nothing_without_one(desk: Desk) -> None:
    price = desk.shelf.put("price.md", PRICE, allow="user:ana").document_id
    conversation_id = desk.conversations.create(ANA)
    desk.answered(conversation_id, price, audit_id="a-1")
    desk.answered(conversation_id, audit_id="a-2")
    desk.shelf.revoke("user:ana", price)

    desk.conversations.open(ANA, conversation_id, "key:1")

    evidence, intent = desk.reader.newest(subject=ANA, limit=2)
    assert intent.content == {"action": "open conversation", "conversation_id": conversation_id, "actor": "key:1"}
    assert evidence.content == {"shown": ["a-2"], "withheld": ["a-1"]}
    desk.audit.close()
    with pytest.raises(AuditUnavailable):
        desk.conversations.open(ANA, conversation_id, "key:1")


def test_a_deleted_conversation_is_gone_with_its_turns_and_takes_no_more(desk: Desk) -> None:
    kept, doomed = desk.conversations.create(ANA), desk.conversations.create(ANA)
    desk.answered(kept)
    desk.answered(doomed)

    desk.conversations.delete(ANA, doomed, "key:1")

    assert [one.conversation_id for one in desk.conversations.listed(ANA)] == [kept]
    with pytest.raises(NotFound):
        desk.conversations.open(ANA, doomed, "test")
    with desk.shelf.catalog.read() as session:
        assert session.scalars(text("SELECT conversation_id FROM turns")).all() == [kept]
    (turn,) = desk.conversations.turns(ANA, kept, 1)
    assert turn.answer and not desk.conversations.add(ANA, doomed, turn.answer)
    assert desk.reader.newest(kind=Kind.INTENT)[1].content == {
        "action": "delete conversation",
        "conversation_id": doomed,
        "actor": "key:1",
    }


def test_no_word_of_a_conversation_stands_in_the_database(desk: Desk) -> None:
    conversation_id = desk.conversations.create(ANA)
    desk.answered(conversation_id)

    with desk.shelf.catalog.read() as session:
        rows = [*session.execute(text("SELECT * FROM turns")), *session.execute(text("SELECT * FROM conversations"))]
    stored = b"".join(bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for row in rows for v in row)

    assert len(rows) == 2 and conversation_id.encode() in stored
    assert CANARY.encode() not in stored
    # Three letters stand among thousands of sealed bytes by chance.
    assert not [value for row in rows for value in row if isinstance(value, str) and "ana" in value]


def test_with_its_owners_key_a_conversation_is_erased(desk: Desk) -> None:
    conversation_id = desk.conversations.create(ANA)
    desk.answered(conversation_id)

    desk.keys.destroy(pseudonym_of(ANA, desk.keys.chain_keys()))

    view, (turn,) = desk.conversations.open(ANA, conversation_id, "test")
    assert (view.title, turn.question, turn.answer) == ("", "", None)


def test_a_turn_that_is_put_into_another_conversation_does_not_open(desk: Desk) -> None:
    first, second = desk.conversations.create(ANA), desk.conversations.create(ANA)
    desk.answered(first, audit_id="a-1")
    desk.answered(second, audit_id="a-1")

    with desk.shelf.catalog.write() as session:
        foreign = "(SELECT content FROM turns WHERE conversation_id = :first)"
        moved = text(f"UPDATE turns SET content = {foreign} WHERE conversation_id = :second")
        session.execute(moved, {"first": first, "second": second})

    assert (desk.shown(first), desk.shown(second)) == ([True], [False])


def test_turns_of_one_conversation_that_come_together_are_all_kept(desk: Desk) -> None:
    conversation_id = desk.conversations.create(ANA)
    desk.answered(conversation_id, audit_id="a-0")
    (turn,) = desk.conversations.turns(ANA, conversation_id, 1)
    assert turn.answer
    answers = [replace(turn.answer, audit_id=f"a-{number}") for number in range(1, 9)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda answer: desk.conversations.add(ANA, conversation_id, answer), answers))

    kept = desk.conversations.turns(ANA, conversation_id, 50)
    assert {turn.audit_id for turn in kept} == {f"a-{number}" for number in range(9)}
