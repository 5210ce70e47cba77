"""What the gate masks: by the policies of a person's groups, of the same length, and the same at every door."""

from __future__ import annotations

import pytest
from shelf import ANA, BEN, Shelf

from catalog.database import Catalog
from catalog.sensitive import SensitiveScanRow, SensitiveSpanRow
from core.errors import NotFound
from core.principals import Principal, parse_grantee
from governance import redaction
from governance.doors import Gate, maintenance
from governance.safety.sensitive import MASK, Policy
from ingest.tagging import tag_stored_texts

CARD, MAIL = "4111 1111 1111 1111", "ana@example.org"
TEXT = f"Pay with {CARD} today. Then write to {MAIL}. That is all."


@pytest.fixture
def shelf(catalog: Catalog) -> Shelf:
    return Shelf(catalog)


def set_policy(shelf: Shelf, group: str, policy: Policy) -> None:
    with shelf.catalog.write() as session:
        redaction.set_policy(session, parse_grantee(group), policy)


def shown(shelf: Shelf, document_id: str, who: Principal = ANA, default: Policy = "standard") -> str:
    return Gate(shelf.catalog, default).text(who, document_id)[1]


def masked(text: str, *values: str) -> str:
    for value in values:
        text = text.replace(value, MASK * len(value))
    return text


def test_everybody_sees_what_the_policy_of_the_home_shows(shelf: Shelf) -> None:
    document = shelf.put("a", TEXT, allow="user:ana").document_id

    assert shown(shelf, document, default="open") == TEXT
    assert shown(shelf, document, default="standard") == masked(TEXT, CARD)
    assert shown(shelf, document, default="strict") == masked(TEXT, CARD, MAIL)


def test_a_groups_policy_holds_for_its_members_at_once_and_for_nobody_else(shelf: Shelf) -> None:
    document = shelf.put("a", TEXT, allow="user:ana user:ben").document_id
    shelf.group("group:payments", "user:ana")
    set_policy(shelf, "group:payments", "open")

    assert (shown(shelf, document, ANA), shown(shelf, document, BEN)) == (TEXT, masked(TEXT, CARD))

    shelf.group("group:payments", "")
    assert shown(shelf, document, ANA) == masked(TEXT, CARD)


def test_the_most_permissive_policy_of_a_persons_groups_decides_however_deep(shelf: Shelf) -> None:
    document = shelf.put("a", TEXT, allow="user:ana").document_id
    shelf.group("group:contractors", "user:ana")
    set_policy(shelf, "group:contractors", "strict")
    assert shown(shelf, document, default="open") == masked(TEXT, CARD, MAIL)

    shelf.group("group:team", "user:ana")
    shelf.group("group:payments", "group:team")
    set_policy(shelf, "group:payments", "open")
    assert shown(shelf, document) == TEXT

    with shelf.catalog.write() as session:
        redaction.unset_policy(session, parse_grantee("group:payments"))
    assert shown(shelf, document, default="open") == masked(TEXT, CARD, MAIL)
    with pytest.raises(NotFound), shelf.catalog.write() as session:
        redaction.unset_policy(session, parse_grantee("group:payments"))


def test_passages_are_masked_as_the_whole_text_is_even_where_a_chunk_ends_within_a_number(shelf: Shelf) -> None:
    staged = shelf.put("a", TEXT, allow="user:ana", chunks=5)
    gate = Gate(shelf.catalog)
    whole = gate.text(ANA, staged.document_id)[1]

    passages = gate.passages(ANA, staged.rows)

    assert len(whole) == len(TEXT)
    assert [one.text for one in passages] == [whole[one.start : one.end] for one in passages]
    assert sum(MASK in one.text for one in passages) >= 2, "the number stands in two chunks"
    assert {span.category for one in passages for span in one.masked} == {"pii.card"}


def test_titles_and_headings_are_masked_too(shelf: Shelf) -> None:
    staged = shelf.put(f"Card {CARD}", "Nothing.", allow="user:ana")
    gate = Gate(shelf.catalog)

    titles = [
        gate.passages(ANA, staged.rows)[0].title,
        gate.document(ANA, staged.document_id).title,
        gate.text(ANA, staged.document_id)[0].title,
    ]

    assert titles == [masked(f"Card {CARD}", CARD)] * 3
    assert Gate(shelf.catalog, "open").document(ANA, staged.document_id).title == f"Card {CARD}"


def test_what_the_standard_policy_masks_is_in_no_index_and_what_it_shows_can_be_searched(shelf: Shelf) -> None:
    staged = shelf.put("a", TEXT, allow="user:ana")

    (chunk,) = maintenance(shelf.catalog, "index building").chunks(staged.rows)

    assert CARD not in chunk.text
    assert MAIL in chunk.text


def test_a_text_nobody_has_looked_at_is_masked_before_and_after_the_upgrade_tags_it(shelf: Shelf) -> None:
    staged = shelf.put("a", TEXT, allow="user:ana")
    with shelf.catalog.write() as session:
        redaction.forget_spans(session, [staged.version_id])
    before = shown(shelf, staged.document_id), Gate(shelf.catalog).passages(ANA, staged.rows)[0].text

    assert (tag_stored_texts(shelf.catalog), tag_stored_texts(shelf.catalog)) == (1, 0)

    after = shown(shelf, staged.document_id), Gate(shelf.catalog).passages(ANA, staged.rows)[0].text
    assert before == after == (masked(TEXT, CARD),) * 2


def test_what_an_older_detector_found_is_looked_for_again(shelf: Shelf) -> None:
    staged = shelf.put("a", TEXT, allow="user:ana")
    with shelf.catalog.write() as session:
        redaction.forget_spans(session, [staged.version_id])
        session.add(SensitiveScanRow(version_id=staged.version_id, detector="0"))

    assert shown(shelf, staged.document_id) == masked(TEXT, CARD)


def test_no_mark_outlives_the_text_it_was_found_in(shelf: Shelf) -> None:
    staged = shelf.put("a", TEXT, allow="user:ana")

    with shelf.catalog.write() as session:
        maintenance(shelf.catalog, "ingestion").forget(session, [staged.version_id])

    with shelf.catalog.read() as session:
        assert (session.query(SensitiveSpanRow).count(), session.query(SensitiveScanRow).count()) == (0, 0)
