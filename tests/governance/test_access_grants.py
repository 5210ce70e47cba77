"""Who may read a document: its source's lists, grants and revocations by hand over them, and why."""

from __future__ import annotations

import pytest
from shelf import Shelf, decision

from catalog.database import Catalog
from core.errors import NotFound
from core.principals import parse_grantee
from governance.access.explain import Explanation, explain
from ingest.ledger import delete_documents

PEOPLE = ("user:ana", "user:ben", "user:zed")


@pytest.fixture
def shelf(catalog: Catalog) -> Shelf:
    """Ana and Ben are staff, Ana is payroll within it; Zed is unknown."""
    shelf = Shelf(catalog)
    shelf.group("group:payroll", "user:ana")
    shelf.group("group:staff", "group:payroll user:ben")
    return shelf


def explained(shelf: Shelf, grantee: str, document_id: str) -> Explanation:
    with shelf.catalog.write() as session:
        return explain(session, parse_grantee(grantee), document_id)


@pytest.mark.parametrize(
    ("allow", "deny", "readers"),
    [
        ("", "", []),
        ("user:ana", "", ["user:ana"]),
        ("group:payroll", "", ["user:ana"]),
        ("group:staff", "", ["user:ana", "user:ben"]),
        ("everyone", "", ["user:ana", "user:ben", "user:zed"]),
        ("group:nobody", "", []),
        ("user:ana group:staff", "user:ana", ["user:ben"]),
        ("user:ana group:staff", "group:payroll", ["user:ben"]),
        ("user:ana", "group:staff", []),
        ("everyone", "group:staff", ["user:zed"]),
        ("user:ana group:staff everyone", "everyone", []),
        ("", "user:ben", []),
    ],
)
def test_one_list_must_allow_and_none_may_deny_at_any_level(
    shelf: Shelf, allow: str, deny: str, readers: list[str]
) -> None:
    assert shelf.readers(shelf.put("a.md", allow=allow, deny=deny).document_id, PEOPLE) == readers


def test_a_grant_lets_somebody_in_and_a_revocation_takes_it_back(shelf: Shelf) -> None:
    document = shelf.put("a.md", allow="group:payroll").document_id

    shelf.grant("user:ben", document)
    assert shelf.readers(document, PEOPLE) == ["user:ana", "user:ben"]
    shelf.revoke("user:ben", document)
    assert shelf.readers(document, PEOPLE) == ["user:ana"]
    assert explained(shelf, "user:ben", document).deny == ()


def test_revoking_somebody_the_source_allows_adds_a_deny_and_a_grant_takes_it_back(shelf: Shelf) -> None:
    document = shelf.put("a.md", allow="group:staff").document_id

    shelf.revoke("user:ana", document)
    assert shelf.readers(document, PEOPLE) == ["user:ben"]
    assert explained(shelf, "user:ana", document).deny == ("user:ana",)
    shelf.grant("user:ana", document)
    assert shelf.readers(document, PEOPLE) == ["user:ana", "user:ben"]
    assert explained(shelf, "user:ana", document).allow == ("group:staff",)


def test_revoking_a_group_takes_the_document_from_everybody_in_it(shelf: Shelf) -> None:
    document = shelf.put("a.md", allow="everyone").document_id

    shelf.revoke("group:staff", document)
    assert shelf.readers(document, PEOPLE) == ["user:zed"]
    shelf.grant("user:ana", document)
    assert shelf.readers(document, PEOPLE) == ["user:zed"]  # deny wins over what is granted to one of them


def test_a_grant_does_not_lift_a_deny_of_the_sources_rules(shelf: Shelf) -> None:
    document = shelf.put("a.md", allow="group:staff", deny="user:ana").document_id

    shelf.grant("user:ana", document)

    assert shelf.readers(document, PEOPLE) == ["user:ben"]


def test_grants_and_revocations_survive_new_content_and_new_rules(shelf: Shelf) -> None:
    document = shelf.put("a.md", allow="group:staff").document_id
    shelf.grant("user:zed", document)
    shelf.revoke("user:ana", document)

    shelf.put("a.md", "Another text.", allow="group:staff")
    assert shelf.readers(document, PEOPLE) == ["user:ben", "user:zed"]

    known = shelf.ledger.known()["a.md"]
    shelf.ledger.apply_access([(known, decision("everyone", deny="user:ben"))])
    assert shelf.readers(document, PEOPLE) == ["user:zed"]


def test_a_document_that_comes_back_keeps_its_revocations_and_loses_its_grants(shelf: Shelf) -> None:
    document = shelf.put("a.md", allow="group:staff").document_id
    shelf.grant("user:zed", document)
    shelf.revoke("user:ana", document)

    delete_documents(shelf.catalog, [document])
    assert shelf.put("a.md", allow="group:staff").document_id == document

    assert shelf.readers(document, PEOPLE) == ["user:ben"]


def test_a_deleted_document_can_be_granted_to_nobody(shelf: Shelf) -> None:
    document = shelf.put("a.md", allow="everyone").document_id
    delete_documents(shelf.catalog, [document])

    for attempt in (shelf.grant, shelf.revoke, lambda whom, it: explained(shelf, whom, it)):
        with pytest.raises(NotFound, match=document):
            attempt("user:ana", document)


def test_explain_names_what_decided(shelf: Shelf) -> None:
    document = shelf.put("a.md", allow="group:staff", deny="user:zed").document_id

    def rule(grantee: str) -> tuple[bool, str]:
        found = explained(shelf, grantee, document)
        return found.allowed, found.rule

    assert rule("user:ana") == (True, "access.yaml: default: allow group:staff")
    assert rule("user:zed") == (False, "access.yaml: default: deny user:zed")
    assert rule("user:cleo") == (False, "access.yaml: default: allows nothing that user:cleo is")
    assert rule("group:payroll") == (True, "access.yaml: default: allow group:staff")
    assert rule("everyone") == (False, "access.yaml: default: allows nothing that everyone is")
    shelf.grant("user:cleo", document)
    shelf.revoke("user:ben", document)
    assert rule("user:cleo") == (True, "granted by hand: allow user:cleo")
    assert rule("user:ben") == (False, "revoked by hand: deny user:ben")
    shelf.deactivate("user:ana")
    assert rule("user:ana") == (False, "user:ana is not active")
