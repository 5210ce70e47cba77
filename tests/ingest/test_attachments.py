"""What a mail carries is brought in as documents of their own, which live, move, close and die with the mail."""

from __future__ import annotations

import io
import zipfile
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from organization import ANA, BEN, bring_in, counts, found

from apps.administration import Administration
from core.attachments import carrier, placed_under
from core.principals import Principal, parse_grantee
from governance.access.rules import AccessLists, Decision
from ingest import pipeline, single
from ingest.items import Item
from ingest.ledger import Known, Ledger, Staged
from ingest.sync import FolderRequest, plan_folder
from wiring.home import Home

TABLE, LETTER = "harbour,berths\nTrieste,14\n", "The ferry leaves from the northern pier.\n"
ALL = ["mail.eml", "mail.eml/berths.csv", "mail.eml/ferry.txt"]
RULES = 'default: {allow: ["user:ana"]}\nrules: [{path: "*.csv", allow: ["user:ben"]}]\n'


def mail(body: str = "The annual report is attached.", **attachments: str) -> bytes:
    made = EmailMessage()
    made["From"], made["Subject"] = "ana@example.org", "Annual report"
    made.set_content(body)
    for name, text in attachments.items():
        made.add_attachment(text, filename=name.replace("_", "."))
    return made.as_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "org").mkdir()
    (tmp_path / "org/mail.eml").write_bytes(mail(berths_csv=TABLE, ferry_txt=LETTER))
    (tmp_path / "org/note.md").write_text("# Note\n\nNothing about ships.\n")
    return tmp_path / "org"


def known(home: Home, source: str = "org") -> dict[str, Known]:
    return Ledger(home.catalog, source, "file:///").known()


def readable(home: Home, principal: Principal) -> list[str]:
    hits = home.searcher.search("annual report harbour berths ferry pier", principal, 50).hits
    return sorted({hit.passage.external_id for hit in hits})


def document(home: Home, external_id: str) -> str:
    return known(home)[external_id].document_id


def test_attachments_are_documents_of_their_own_and_are_found_by_their_words(home: Home, folder: Path) -> None:
    assert counts(bring_in(home, folder)) == {"added": 4}
    assert found(home, "harbour berths")[0] == "mail.eml/berths.csv"
    assert found(home, "northern pier ferry")[0] == "mail.eml/ferry.txt"
    assert found(home, "annual report")[0] == "mail.eml"
    assert home.gate.text(ANA, document(home, "mail.eml/ferry.txt"))[1] == LETTER.strip()


def test_the_members_of_an_archive_are_documents_that_its_readers_read(home: Home, folder: Path) -> None:
    members = {"trips/berths.csv": TABLE.encode(), "mail.eml": mail(ferry_txt=LETTER), "locked.txt": b"secret"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    # The flag of encryption, in the last member's two headers.
    data = bytearray(packed.getvalue())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rfind(signature) + flags] |= 1
    (folder / "trips.zip").write_bytes(data)
    (folder / "mail.eml").unlink()
    (folder / "access.yaml").write_text('default: {allow: ["user:ana"]}\n')
    first = bring_in(home, folder)
    assert [(failure.external_id, failure.verdict) for failure in first.failures] == [
        ("trips.zip/locked.txt", "encrypted")
    ]
    assert counts(first) == {"added": 5, "failed": 1}
    inside = ["trips.zip/mail.eml", "trips.zip/mail.eml/ferry.txt", "trips.zip/trips/berths.csv"]
    assert [name for name in readable(home, ANA) if "/" in name] == inside
    assert readable(home, BEN) == []
    second = bring_in(home, folder)
    assert (counts(second), second.failures) == ({"unchanged": 5, "failed": 1}, first.failures)


def test_a_second_run_changes_nothing_and_still_names_what_failed(home: Home, folder: Path) -> None:
    (folder / "mail.eml").write_bytes(mail(berths_csv=TABLE, tune_svg="<svg>a tune</svg>"))
    first = bring_in(home, folder)
    assert counts(first) == {"added": 3, "failed": 1}
    assert [(failure.external_id, failure.verdict) for failure in first.failures] == [
        ("mail.eml/tune.svg", "unsupported")
    ]
    second = bring_in(home, folder)
    assert counts(second) == {"unchanged": 3, "failed": 1}
    assert second.failures == first.failures


def test_who_may_read_the_mail_may_read_what_it_carries_and_nobody_else(home: Home, folder: Path) -> None:
    (folder / "access.yaml").write_text(RULES)
    bring_in(home, folder)
    assert readable(home, ANA) == [*ALL, "note.md"]
    assert readable(home, BEN) == []

    (folder / "access.yaml").write_text(RULES.replace("*.csv", "mail.eml"))
    assert counts(bring_in(home, folder)) == {"unchanged": 4, "access_changed": 3}
    assert readable(home, ANA) == ["note.md"]
    assert readable(home, BEN) == ALL


def test_a_grant_or_a_revocation_on_the_mail_holds_for_what_it_carries_now_and_later(home: Home, folder: Path) -> None:
    bring_in(home, folder, allow=("user:ana",))
    administration = Administration(home, ANA, "test")
    administration.grant(parse_grantee("user:ben"), document(home, "mail.eml"))
    assert readable(home, BEN) == ALL
    administration.revoke(parse_grantee("user:ana"), document(home, "mail.eml"))
    assert readable(home, ANA) == ["note.md"]

    (folder / "mail.eml").write_bytes(mail(berths_csv=TABLE, ferry_txt=LETTER, pier_txt="The pier is closed.\n"))
    bring_in(home, folder, allow=None)
    assert readable(home, BEN) == [*ALL, "mail.eml/pier.txt"]
    assert readable(home, ANA) == ["note.md"]
    explained = administration.explain(parse_grantee("user:ana"), document(home, "mail.eml/pier.txt"))
    assert not explained.allowed

    administration.revoke(parse_grantee("user:ben"), document(home, "mail.eml/pier.txt"))
    assert readable(home, BEN) == ALL


def test_what_a_changed_mail_carries_no_more_is_gone_and_the_rest_stays_what_it_was(home: Home, folder: Path) -> None:
    bring_in(home, folder)
    ferry = document(home, "mail.eml/ferry.txt")
    (folder / "mail.eml").write_bytes(mail("The pier moved.", ferry_txt=LETTER))
    assert counts(bring_in(home, folder)) == {"updated": 1, "unchanged": 2, "deleted": 1}
    assert readable(home, ANA) == ["mail.eml", "mail.eml/ferry.txt", "note.md"]
    assert document(home, "mail.eml/ferry.txt") == ferry


def test_a_mail_that_cannot_be_read_any_more_keeps_what_it_carried(home: Home, folder: Path) -> None:
    bring_in(home, folder)
    (folder / "mail.eml").write_bytes(b"Subject: x\r\nContent-Type: multipart/encrypted\r\n\r\nx")
    assert counts(bring_in(home, folder)) == {"unchanged": 1, "failed": 1}
    assert set(ALL) <= set(readable(home, ANA))


def test_a_pruned_or_deleted_mail_takes_what_it_carries_with_it(home: Home, folder: Path) -> None:
    bring_in(home, folder)
    (folder / "mail.eml").rename(folder.parent / "aside.eml")
    assert counts(bring_in(home, folder)) == {"unchanged": 1, "missing": 3}
    assert counts(bring_in(home, folder, prune="yes")) == {"unchanged": 1, "deleted": 3}
    assert readable(home, ANA) == ["note.md"]

    (folder.parent / "aside.eml").rename(folder / "mail.eml")
    bring_in(home, folder)
    assert readable(home, ANA) == [*ALL, "note.md"]
    Administration(home, ANA, "test").delete_documents([document(home, "mail.eml")])
    assert readable(home, ANA) == ["note.md"]
    assert sorted(known(home)) == ["note.md"]


def test_a_moved_mail_moves_what_it_carries_and_neither_is_read_again(home: Home, folder: Path) -> None:
    (folder / "access.yaml").write_text(
        'default: {allow: ["user:ana"]}\nrules: [{path: "open/", allow: ["user:ben"]}]\n'
    )
    bring_in(home, folder)
    before = {external_id: document(home, external_id) for external_id in ALL}
    (folder / "open").mkdir()
    (folder / "mail.eml").rename(folder / "open/mail.eml")
    assert counts(bring_in(home, folder)) == {"updated": 1, "unchanged": 1, "moved": 1}
    assert {f"open/{external_id}": id_ for external_id, id_ in before.items()} == {
        external_id: one.document_id for external_id, one in known(home).items() if external_id != "note.md"
    }
    assert readable(home, BEN) == [f"open/{external_id}" for external_id in ALL]
    assert counts(bring_in(home, folder)) == {"unchanged": 4}


def test_attachments_are_no_reason_to_refuse_a_prune_nor_planned_apart(home: Home, folder: Path) -> None:
    many = {f"a{n}_txt": f"Berth number {n} is free.\n" for n in range(12)}
    (folder / "mail.eml").write_bytes(mail(**many))
    bring_in(home, folder)
    request = FolderRequest(folder, "org", None, None, "yes")
    assert [
        (one.external_id, one.change) for one in plan_folder(home.ingestion, home.layout.folder, request).plan or ()
    ] == [
        ("mail.eml", "unchanged"),
        ("note.md", "unchanged"),
    ]
    assert counts(bring_in(home, folder, prune="yes")) == {"unchanged": 14}


def test_a_job_brings_a_mail_in_with_what_it_carries_as_a_run_does(home: Home, folder: Path) -> None:
    ledger = Ledger(home.catalog, "org", folder.as_uri())
    ledger.register([], None)

    def by_job(*grantees: str) -> None:
        path = folder / "mail.eml"
        decision = Decision(AccessLists(frozenset(map(parse_grantee, grantees))), "test")
        item = Item("mail.eml", path.as_uri(), decision, path.read_bytes)
        with closing(home.ingestion.open_parser()) as parser:
            prepared = single.read_in(home.ingestion, parser, ledger, item)
        if prepared is not None:
            single.make_current(home.ingestion, ledger, [prepared])

    by_job("user:ana")
    assert readable(home, ANA) == ALL
    before = known(home)
    by_job("user:ana", "user:ben")
    assert readable(home, BEN) == ALL
    assert {key: one.content_hash for key, one in known(home).items()} == {
        key: one.content_hash for key, one in before.items()
    }
    (folder / "mail.eml").write_bytes(mail("The pier moved.", ferry_txt=LETTER, tune_svg="<svg>a tune</svg>"))
    by_job("user:ben")
    assert readable(home, BEN) == ["mail.eml", "mail.eml/ferry.txt"]
    assert readable(home, ANA) == []
    assert known(home)["mail.eml/tune.svg"].failure_verdict == "unsupported"


def test_an_interrupted_run_leaves_no_attachment_behind(
    home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "BATCH_CHUNKS", 1)
    publish, published = Ledger.publish, []

    def interrupted(self: Ledger, staged: list[Staged], **more: Any) -> list[int]:
        if len(published) == 1:
            raise KeyboardInterrupt
        published.append(staged)
        return publish(self, staged, **more)

    monkeypatch.setattr(Ledger, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bring_in(home, folder)
    monkeypatch.undo()
    assert readable(home, ANA) == ["mail.eml/berths.csv"]
    assert counts(bring_in(home, folder)) == {"added": 3, "unchanged": 1}
    assert readable(home, ANA) == [*ALL, "note.md"]


def test_an_upload_that_only_looks_like_an_attachment_is_a_document_of_its_own(home: Home) -> None:
    administration = Administration(home, ANA, "test")
    everyone = AccessLists(frozenset({parse_grantee("everyone")}))
    for external_id, data in {"mail.eml": mail(ferry_txt=LETTER), "mail.eml/berths.txt": b"Berths in Trieste."}.items():
        administration.upload("desk", external_id, data, everyone)
    assert sorted(known(home, "desk")) == ["mail.eml", "mail.eml/berths.txt", "mail.eml/ferry.txt"]
    administration.delete_documents([known(home, "desk")["mail.eml"].document_id])
    assert sorted(known(home, "desk")) == ["mail.eml/berths.txt"]


def test_an_attachment_and_a_document_of_the_same_name_keep_their_own_readers(home: Home) -> None:
    administration = Administration(home, ANA, "test")
    anas, bens = (AccessLists(frozenset({parse_grantee(name)})) for name in ("user:ana", "user:ben"))
    administration.upload("desk", "mail.eml/ferry.txt", b"The ferry is late.", bens)
    administration.upload("desk", "mail.eml", mail(ferry_txt=LETTER), anas)
    assert readable(home, ANA) == ["mail.eml", "mail.eml/ferry (2).txt"]
    assert readable(home, BEN) == ["mail.eml/ferry.txt"]

    administration.upload("desk", "mail.eml/ferry (2).txt", b"The ferry is early.", bens)
    assert readable(home, ANA) == ["mail.eml"]
    assert readable(home, BEN) == ["mail.eml/ferry (2).txt", "mail.eml/ferry.txt"]


class Place:
    def __init__(self, external_id: str, uri: str) -> None:
        self.external_id, self.uri = external_id, uri


@pytest.mark.parametrize("name", ["a.pdf", "fwd.eml/ü #2 100%.pdf", "%23.txt"])
@pytest.mark.parametrize("external_id", ["mail.eml", "a/b #1.eml"])
def test_what_is_placed_under_a_document_is_known_to_be_carried_by_it(external_id: str, name: str) -> None:
    for uri in (Path("/", external_id).as_uri(), f"upload:desk/{external_id}"):
        assert carrier(Place(*placed_under(external_id, uri, name))) == external_id
        assert carrier(Place(external_id, uri)) is None
