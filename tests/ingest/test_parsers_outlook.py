"""Outlook messages and mailboxes come out as the same e-mail does, and what they carry as documents of their own."""

from __future__ import annotations

import io
import mailbox
import struct
import time
import zipfile
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from compound_files import Tree, compound_file

from core.documents import Parsed
from core.errors import UnreadableDocument
from ingest.parsing import containers
from ingest.parsing.formats import parse
from ingest.parsing.outlook import uncompressed_rtf

SENT = int((datetime(2026, 3, 2, 8, tzinfo=UTC) - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10**7


def properties(head: int, **numbers: int) -> bytes:
    entries = (struct.pack("<HHIQ", 3, int(id_[1:], 16), 6, number) for id_, number in numbers.items())
    return bytes(head) + b"".join(entries)


def wide(**texts: str) -> Tree:
    return {f"__substg1.0_{id_[1:]}001F": text.encode("utf-16-le") for id_, text in texts.items()}


def person(name: str, address: str, kind: int) -> Tree:
    return wide(p3001=name, p39FE=address) | {"__properties_version1.0": properties(8, p0C15=kind)}


def message(head: int = 32, subject: str = "Lunch", **more: object) -> Tree:
    made = wide(p0037=subject, p001A="IPM.Note", p0C1A="Ana", p5D01="ana@example.org")
    made["__properties_version1.0"] = properties(head, p0039=SENT, p3FFD=1252)
    made["__recip_version1.0_#00000000"] = person("Ben Übel", "ben@example.org", 1)
    made["__recip_version1.0_#00000001"] = person("Cleo", "cleo@example.org", 2)
    made["__recip_version1.0_#00000002"] = person("Dora", "dora@example.org", 3)
    return made | more


def attachment(name: str, data: bytes, **more: str) -> Tree:
    parts = wide(p3707=name, **more) | {"__substg1.0_37010102": data}
    return parts | {"__properties_version1.0": properties(8)}


def read(made: Tree) -> Parsed:
    return parse(compound_file(made), "mail.msg")


def members(parsed: Parsed) -> dict[str, bytes]:
    return {one.name: one.data for one in parsed.attachments}


def test_an_outlook_message_is_its_subject_its_correspondents_and_its_body() -> None:
    parsed = read(message(subject="Übung ☕", **wide(p1000="See you\r\nat noon.\r\n\r\nAna")))
    assert (parsed.title, parsed.media_type) == ("Übung ☕", "application/vnd.ms-outlook")
    assert parsed.text == (
        "Übung ☕\n\nFrom: Ana <ana@example.org>\nTo: Ben Übel <ben@example.org>\nCc: Cleo <cleo@example.org>\n"
        "Date: Mon, 02 Mar 2026 08:00:00 +0000\n\nSee you\nat noon.\n\nAna"
    )


def test_text_of_before_unicode_is_read_in_the_code_page_that_the_message_names() -> None:
    old = {f"__substg1.0_{id_}001E": text.encode("cp1251") for id_, text in (("0037", "Обед"), ("1000", "В полдень"))}
    old["__properties_version1.0"] = properties(32, p3FFD=1251)
    assert read(old).text == "Обед\n\nВ полдень"


def test_a_body_in_html_or_only_in_rtf_is_read() -> None:
    html = message(**{"__substg1.0_10130102": "<p>rich <b>wörds</b></p><script>no()</script>".encode()})
    assert read(html).text.endswith("\n\nrich wörds")
    rtf = rb"{\rtf1\ansi rich words}"
    stored = struct.pack("<II4sI", len(rtf) + 12, len(rtf), b"MELA", 0) + rtf
    assert read(message(**{"__substg1.0_10090102": stored})).text.endswith("\n\nrich words")


@pytest.mark.parametrize(
    ("compressed", "plain"),
    [  # the examples of [MS-OXRTFCP] 3.1 and 3.2
        (
            "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0",
            b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
        ),
        ("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0", b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"),
    ],
)
def test_compressed_rtf_is_that_of_the_specification(compressed: str, plain: bytes) -> None:
    assert uncompressed_rtf(bytes.fromhex(compressed)) == plain


def test_attachments_keep_names_and_bytes_and_pictures_in_the_body_are_none() -> None:
    made = message(
        **wide(p1000="See the plan."),
        **{"__substg1.0_10130102": b"<img src='cid:logo'>"},
        **{"__attach_version1.0_#00000000": attachment("../Pläne.txt", b"the plan\r\n\x00", p370E="text/plain")},
        **{"__attach_version1.0_#00000001": attachment("logo.png", b"\x89PNG", p370E="image/png", p3712="logo")},
    )
    assert members(read(made)) == {"Pläne.txt": b"the plan\r\n\x00"}


def test_a_message_within_a_message_is_a_mail_of_its_own_and_carries_what_it_carries() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("terms.txt", "ten days")
    inner = message(24, "Öffer: 1/2", **wide(p1000="The offer."))
    inner["__attach_version1.0_#00000000"] = attachment("terms.zip", packed.getvalue())
    outer = message(**wide(p1000="Forwarded."))
    outer["__attach_version1.0_#00000000"] = {
        "__substg1.0_3701000D": inner,
        "__properties_version1.0": properties(8, p3705=5),
    }
    parsed = read(outer)
    assert [*members(parsed)] == ["Öffer: 1 2.eml", "Öffer: 1 2.eml/terms.zip", "Öffer: 1 2.eml/terms.zip/terms.txt"]
    assert members(parsed)["Öffer: 1 2.eml/terms.zip/terms.txt"] == b"ten days"
    mail = parse(members(parsed)["Öffer: 1 2.eml"], "offer.eml")
    assert (mail.title, mail.text.endswith("\n\nThe offer.")) == ("Öffer: 1/2", True)


def test_messages_nest_no_deeper_than_is_read() -> None:
    made = message(24, "innermost", **wide(p1000="x"))
    for _ in range(containers.DEPTH + 3):
        outer = message(24, "m", **wide(p1000="x"))
        outer["__attach_version1.0_#00000000"] = {"__substg1.0_3701000D": made}
        made = outer
    made["__properties_version1.0"] = properties(32)
    assert max(name.count("/") for name in members(read(made))) < containers.DEPTH


def test_an_encrypted_message_is_refused_and_a_cut_off_one_is_damaged() -> None:
    def verdict(data: bytes) -> str:
        with pytest.raises(UnreadableDocument) as failure:
            parse(data, "mail.msg")
        return failure.value.verdict

    assert verdict(compound_file(message(**wide(p001A="IPM.Note.SMIME")))) == "encrypted"
    whole = compound_file(message(**wide(p1000="words " * 5_000)))
    assert verdict(whole[:2_000] + b"__properties_version1.0".decode().encode("utf-16-le")) == "malformed"


def mail(subject: str, body: str, day: int = 2) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["Subject"] = "Ana <ana@example.org>", subject
    made["Date"] = datetime(2026, 3, day, 9, tzinfo=UTC)
    made.set_content(body)
    return made


def test_a_mailbox_lists_its_messages_and_carries_them(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box")
    with_attachment = mail("Übung", "With terms.")
    with_attachment.add_attachment(b"ten", maintype="text", subtype="plain", filename="terms.txt")
    for one in (with_attachment, mail("Re: a/b", "From the pier.\n\nFrom here on.\n"), mail("Re: a/b", "Twice.")):
        box.add(one)
    box.close()
    parsed = parse((tmp_path / "box").read_bytes(), "archive")
    assert parsed.media_type == "application/mbox"
    assert parsed.text == (
        "date | from | subject\n2026-03-02 | Ana <ana@example.org> | Übung\n"
        "2026-03-02 | Ana <ana@example.org> | Re: a/b\n2026-03-02 | Ana <ana@example.org> | Re: a/b"
    )
    names = ["2026-03-02 Übung.eml", "2026-03-02 Übung.eml/terms.txt", "2026-03-02 Re: a b.eml"]
    assert [*members(parsed)] == [*names, "2026-03-02 Re: a b (2).eml"]
    second = parse(members(parsed)[names[2]], names[2])
    assert second.text.endswith("From the pier.\n\nFrom here on.")


def test_a_mailbox_of_too_many_messages_is_to_be_split(monkeypatch: pytest.MonkeyPatch) -> None:
    box = b"".join(b"From ana\nSubject: %d\n\nHi\n\n" % number for number in range(9))
    assert len(members(parse(box, "a.mbox"))) == 9
    monkeypatch.setattr(containers, "ENTRIES", 8)
    with pytest.raises(UnreadableDocument, match="split") as failure:
        parse(box, "a.mbox")
    assert failure.value.verdict == "too_large"


@pytest.mark.parametrize(
    "data", [b"From \n" * 50_000, b"From a\n\n" * 50_000, b">" * 200_000 + b"From a\nb: c\n\n" * 5]
)
def test_no_mailbox_takes_more_than_its_length_is_worth(data: bytes) -> None:
    began = time.process_time()
    try:
        parse(data, "a.mbox")
    except UnreadableDocument:
        pass
    assert time.process_time() - began < 5.0
