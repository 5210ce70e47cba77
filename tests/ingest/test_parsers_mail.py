"""E-mail: the body a client would show, and what is attached, each once under a name that leads nowhere else."""

from __future__ import annotations

import io
from email.message import EmailMessage

import pytest
from linked import links

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing import containers
from ingest.parsing.formats import parse
from ingest.parsing.mail import parse_mail

HEADING, PARAGRAPH = BlockKind.HEADING, BlockKind.PARAGRAPH


def message(subject: str = "Lunch", body: str | None = "See you\nat noon.\n\nAna") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Date"] = (
        "Ana <ana@example.org>",
        "ben@example.org",
        "Mon, 2 Mar 2026 09:00:00 +0100",
    )
    if subject:
        made["Subject"] = subject
    if body is not None:
        made.set_content(body)
    return made


def read(made: EmailMessage) -> Parsed:
    return parse(made.as_bytes(), "mail.eml")


def body_of(parsed: Parsed) -> list[str]:
    texts = [parsed.text[block.start : block.end] for block in parsed.blocks]
    return [text for text in texts if not text.startswith("From:")]


def test_a_message_is_its_subject_its_correspondents_and_its_body() -> None:
    parsed = read(message(subject="Übung am Montag"))
    assert parsed.title == "Übung am Montag"
    assert parsed.text == (
        "Übung am Montag\n\nFrom: Ana <ana@example.org>\nTo: ben@example.org\nDate: Mon, 02 Mar 2026 09:00:00 +0100\n\n"
        "See you\nat noon.\n\nAna"
    )
    assert parsed.attachments == ()


def test_of_two_alternatives_the_plain_text_is_read_and_the_html_where_that_is_blank() -> None:
    both = message(body="plain words")
    both.add_alternative("<p>rich words</p>", subtype="html")
    assert body_of(read(both)) == ["Lunch", "plain words"]
    blank = message(body=" \n")
    blank.add_alternative("<p>rich words</p><script>no()</script>", subtype="html")
    blank.add_attachment("a,b", subtype="csv", filename="t.csv")
    parsed = read(blank)
    assert body_of(parsed) == ["Lunch", "rich words"]
    assert [one.name for one in parsed.attachments] == ["t.csv"]


def test_a_body_in_html_keeps_its_links() -> None:
    rich = message(body=None)
    rich.set_content("<p>See <a href='https://example.org/rules'>the rules</a>.</p>", subtype="html")
    rich.add_attachment("a,b", subtype="csv", filename="t.csv")
    assert links(read(rich)) == [("the rules", "https://example.org/rules")]


def test_an_alternative_that_no_client_shows_is_an_attachment_where_it_is_the_only_one() -> None:
    def invitation(words: str) -> list[str]:
        made = message(body=words)
        made.add_alternative("BEGIN:VCALENDAR", subtype="calendar")
        return [one.name for one in read(made).attachments]

    assert invitation(" ") == ["attachment.ics"]
    assert invitation("You are invited.") == []


@pytest.mark.parametrize(
    ("charset", "encoded"), [("iso-8859-1", "latin-1"), ("x-unknown", "utf-8"), ("utf-8", "cp1252")]
)
def test_a_body_in_an_unknown_or_wrong_charset_is_still_read(charset: str, encoded: str) -> None:
    head = f"Subject: x\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    assert "Größe" in parse_mail(head.encode() + "Die Größe der Übung zählt für alle.".encode(encoded)).text


def test_attachments_keep_their_bytes_and_embedded_pictures_and_signatures_are_none() -> None:
    made = message()
    made.add_alternative("<p>Hi <img src='cid:logo'></p>", subtype="html")
    html = made.get_payload(1)
    assert isinstance(html, EmailMessage)
    html.add_related(b"\x89PNG", "image", "png", cid="<logo>")
    made.add_attachment(b"%PDF-1.7 bytes\r\n\x00", maintype="application", subtype="pdf", filename="Vertrag ü.pdf")
    made.add_attachment(b"sig", maintype="application", subtype="pgp-signature", filename="signature.asc")
    assert [(one.name, one.data) for one in read(made).attachments] == [("Vertrag ü.pdf", b"%PDF-1.7 bytes\r\n\x00")]


def test_names_that_lead_elsewhere_are_tamed_and_equal_ones_told_apart() -> None:
    made = message()
    for name in ("../../etc/passwd", "a.txt", "a.txt", "..", None):
        made.add_attachment(b"x", maintype="application", subtype="octet-stream", filename=name)
    names = [one.name for one in read(made).attachments]
    assert names == ["etc passwd", "a.txt", "a (2).txt", "attachment.bin", "attachment (2).bin"]


def test_a_forwarded_message_is_an_attachment_and_so_is_what_it_carries() -> None:
    inner = message(subject="Offer: 1/2")
    inner.add_attachment(b"terms", maintype="application", subtype="pdf", filename="terms.pdf")
    outer = message()
    outer.add_attachment(inner)
    attachments = read(outer).attachments
    assert [one.name for one in attachments] == ["Offer: 1 2.eml", "Offer: 1 2.eml/terms.pdf"]
    assert parse_mail(attachments[0].data).title == "Offer: 1/2"
    assert attachments[1].data == b"terms"


def nested(deep: int) -> EmailMessage:
    made = message(subject="m")
    made.add_attachment(b"x", maintype="application", subtype="pdf", filename="x.pdf")
    for _ in range(deep):
        outer = message(subject="m")
        outer.add_attachment(made)
        made = outer
    return made


def test_messages_within_messages_are_opened_so_deep_and_no_deeper() -> None:
    names = [one.name for one in read(nested(3)).attachments]
    assert names[-1] == "m.eml/m.eml/m.eml/x.pdf"
    names = [one.name for one in read(nested(containers.DEPTH + 1)).attachments]
    assert max(name.count("/") for name in names) == containers.DEPTH - 1


def test_parts_count_over_all_messages_within(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "ENTRIES", 12)
    assert read(nested(3))
    with pytest.raises(UnreadableDocument, match="entries") as failure:
        read(nested(5))
    assert failure.value.verdict == "hostile"


@pytest.mark.parametrize(
    "kind",
    [
        'multipart/encrypted; boundary="b"',
        "application/pkcs7-mime; smime-type=enveloped-data",
        "application/x-pkcs7-mime",
    ],
)
def test_an_encrypted_message_is_refused(kind: str) -> None:
    with pytest.raises(UnreadableDocument) as failure:
        parse_mail(f"Subject: secret\r\nContent-Type: {kind}\r\n\r\n--b\r\n\r\nbytes\r\n--b--\r\n".encode())
    assert failure.value.verdict == "encrypted"


def test_a_message_saved_as_utf_16_is_read() -> None:
    text = message().as_bytes().decode("ascii")
    for encoding in ("utf-16", "utf-16-le"):
        assert parse_mail(text.encode(encoding)).title == "Lunch"


def test_a_message_with_nothing_in_it_is_empty_and_one_with_an_attachment_is_not() -> None:
    bare = message(subject="", body=None)
    with pytest.raises(UnreadableDocument) as failure:
        read(bare)
    assert failure.value.verdict == "empty"
    bare.add_attachment(io.BytesIO(b"x").read(), maintype="application", subtype="pdf", filename="scan.pdf")
    assert read(bare).text.startswith("From: Ana")
