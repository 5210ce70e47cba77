"""Archives are folders: each member a document of its own, within one budget, under a name that leads nowhere else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable
from email.message import EmailMessage

import pypdfium2 as pdfium
import pytest
from reportlab.pdfgen.canvas import Canvas

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing import containers
from ingest.parsing.archives import parse_tar, parse_zip
from ingest.parsing.formats import parse
from ingest.parsing.sandbox import SandboxedParser

FILES = {"report.md": b"# Report\n\nAll is well.\n", "data/rates.csv": b"city,rate\nRome,90\n"}


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in others:
            archive.addfile(info)
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def members(parsed: Parsed) -> dict[str, bytes]:
    return {one.name: one.data for one in parsed.attachments}


def refusals(parsed: Parsed) -> dict[str, str]:
    return {one.name: one.refusal.verdict for one in parsed.attachments if one.refusal}


def verdict(data: bytes, name: str) -> tuple[str, str]:
    with pytest.raises(UnreadableDocument) as failure:
        parse(data, name)
    return failure.value.verdict, failure.value.reason


PACKINGS: list[tuple[str, Callable[[dict[str, bytes]], bytes]]] = [
    ("files.zip", zipped),
    ("files.tar", tarred),
    ("files.tar.gz", lambda files: gzip.compress(tarred(files))),
    ("files.tgz", lambda files: gzip.compress(tarred(files))),
    ("files.tar.bz2", lambda files: bz2.compress(tarred(files))),
    ("files.tar.xz", lambda files: lzma.compress(tarred(files))),
    ("files", lambda files: lzma.compress(tarred(files))),
]


@pytest.mark.parametrize(("name", "pack"), PACKINGS)
def test_members_come_out_as_they_went_in_and_the_archive_lists_them(
    name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    with SandboxedParser() as sandbox:
        parsed = sandbox.parse(pack(FILES), name)
    assert members(parsed) == FILES
    assert parsed.text == "file | bytes\nreport.md | 23\ndata/rates.csv | 18"
    assert [block.kind for block in parsed.blocks] == [BlockKind.TABLE]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_one_compressed_file_is_the_file(compress: Callable[[bytes], bytes]) -> None:
    parsed = parse(compress(compress(b"city,rate\nRome,90\n")), "rates.csv.gz.gz")
    assert (parsed.text, parsed.media_type) == ("city | rate\nRome | 90", "text/csv")


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("..\\..\\win.ini", "win.ini"),
        ("C:\\temp\\a.txt", "temp/a.txt"),
        ("a/./b/../c.txt", "a/b/c.txt"),
        ("nul\x01l.txt", "nul l.txt"),
        ("x" * 400 + ".txt", "x" * 120 + ".txt"),
        ("deep/" * 50 + "a.txt", "deep/" * 19 + "a.txt"),
        (".. /a.txt", "a.txt"),
    ],
)
def test_names_that_lead_elsewhere_are_made_safe(given: str, safe: str) -> None:
    assert [*members(parse(zipped({given: b"x"}), "a.zip"))] == [safe]
    assert [*members(parse(tarred({given: b"x"}), "a.tar"))] == [safe]


def test_names_that_become_alike_are_told_apart() -> None:
    parsed = parse(zipped({"a.txt": b"1", "../a.txt": b"2", "/a.txt": b"3"}), "a.zip")
    assert members(parsed) == {"a.txt": b"1", "a (2).txt": b"2", "a (3).txt": b"3"}


def test_a_name_in_utf_8_that_does_not_say_so_is_read_as_utf_8() -> None:
    named = zipped({"XXbung.txt": b"x"}).replace(b"XXbung", "Übung".encode())
    assert [*members(parse(named, "a.zip"))] == ["Übung.txt"]


def test_links_devices_hidden_files_and_rules_are_left_out() -> None:
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        for name in ("__MACOSX/._a.txt", ".git/config", "access.yaml", "folder/", "a.txt"):
            archive.writestr(name, "x")
    assert [*members(parse(buffer.getvalue(), "a.zip"))] == ["a.txt"]
    others = [special("link", tarfile.SYMTYPE, "/etc/passwd"), special("hard", tarfile.LNKTYPE, "a.txt")]
    others += [special("null", tarfile.CHRTYPE), special("pipe", tarfile.FIFOTYPE), special("dir", tarfile.DIRTYPE)]
    assert [*members(parse(tarred({"./a.txt": b"x", ".env": b"x"}, *others), "a.tar"))] == ["a.txt"]


def encrypted(data: bytes, *names: bytes) -> bytes:
    """`data` with the flag of encryption set on the members of these names, in both of their headers."""
    changed = bytearray(data)
    for signature, flags, name_at in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        at = data.find(signature)
        while at >= 0:
            if any(data[at + name_at :].startswith(name) for name in names):
                changed[at + flags] |= 1
            at = data.find(signature, at + 4)
    return bytes(changed)


def test_an_encrypted_member_is_named_and_the_others_are_read() -> None:
    data = zipped({"open.txt": b"words", "locked.txt": b"secret"})
    parsed = parse(encrypted(data, b"locked"), "a.zip")
    assert members(parsed) == {"open.txt": b"words", "locked.txt": b""}
    assert refusals(parsed) == {"locked.txt": "encrypted"}
    assert verdict(encrypted(data, b"locked", b"open"), "a.zip")[0] == "encrypted"


def test_a_damaged_member_is_named_and_the_others_are_read() -> None:
    data = zipped({"good.txt": b"words", "bad.txt": b"some words"}, zipfile.ZIP_STORED)
    parsed = parse(data.replace(b"some words", b"same words"), "a.zip")
    assert refusals(parsed) == {"bad.txt": "malformed"}
    assert members(parsed)["good.txt"] == b"words"


@pytest.mark.parametrize("name", ["files.zip", "files.tar", "files.tar.gz", "files.tar.xz"])
def test_a_cut_off_archive_is_damaged(name: str) -> None:
    data = dict(PACKINGS)[name]({"a.txt": bytes(range(256)) * 40, "b.txt": b"x"})
    assert verdict(data[: len(data) // 2], name)[0] == "malformed"


def test_archives_and_mails_within_archives_are_opened_at_every_depth_and_no_deeper() -> None:
    mail = EmailMessage()
    mail["Subject"] = "Offer"
    mail.set_content("See the offer.")
    mail.add_attachment(zipped({"offer.txt": b"ten"}), maintype="application", subtype="zip", filename="offer.zip")
    parsed = parse(zipped({"mails/offer.eml": mail.as_bytes(), "in.tar.gz": gzip.compress(tarred(FILES))}), "a.zip")
    assert [*members(parsed)] == [
        "mails/offer.eml",
        "mails/offer.eml/offer.zip",
        "mails/offer.eml/offer.zip/offer.txt",
        "in.tar.gz",
        "in.tar.gz/report.md",
        "in.tar.gz/data/rates.csv",
    ]
    data = b"x"
    for _ in range(containers.DEPTH + 2):
        data = zipped({"a.zip": data})
    assert [*members(parse(data, "a.zip"))][-1] == "/".join(["a.zip"] * containers.DEPTH)


def test_a_folder_that_is_named_as_an_archive_beside_it_takes_no_members_place() -> None:
    names = [*members(parse(zipped({"a.zip/x.txt": b"1", "a.zip": zipped({"x.txt": b"2"})}), "b.zip"))]
    assert names == ["a.zip/x.txt", "a.zip", "a.zip/x (2).txt"]


def test_the_budget_counts_over_all_archives_within(monkeypatch: pytest.MonkeyPatch) -> None:
    nested = zipped({f"{number}.zip": zipped({f"{n}.txt": b"x" for n in range(9)}) for number in range(9)})
    assert len(members(parse(nested, "a.zip"))) == 90
    monkeypatch.setattr(containers, "ENTRIES", 89)
    assert verdict(nested, "a.zip")[0] == "hostile"
    monkeypatch.setattr(containers, "ENTRIES", 90)
    noise = zipped({"a.zip": zipped({"noise": bytes(range(256)) * 4}), "b": b"x"})
    inner = len(zipped({"noise": bytes(range(256)) * 4}))
    monkeypatch.setattr(containers, "INFLATED_BYTES", inner + 1 + 1024)
    assert len(members(parse(noise, "a.zip"))) == 3
    monkeypatch.setattr(containers, "INFLATED_BYTES", inner + 1 + 1023)
    assert verdict(noise, "a.zip")[0] == "hostile"


def test_what_does_not_fit_is_named_and_what_fits_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "CARRIED_BYTES", 100)
    for name in ("files.zip", "files.tar.gz"):
        data = dict(PACKINGS)[name]({"a": b"a" * 60, "b": b"b" * 60, "c": b"c" * 40})
        parsed = parse(data, name)
        # It is not unpacked, and not only not handed on.
        assert refusals(parse_zip(data) if name == "files.zip" else parse_tar(data)) == {"b": "too_large"}
        assert refusals(parsed) == {"b": "too_large"}
        assert members(parsed) == {"a": b"a" * 60, "b": b"", "c": b"c" * 40}


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        ("a.zip", lambda zeros: zipped({"zeros": zeros})),
        ("a.tar.gz", lambda zeros: gzip.compress(tarred({"zeros": zeros}))),
        ("a.tar.xz", lambda zeros: lzma.compress(tarred({"zeros": zeros}))),
        ("a.txt.gz", gzip.compress),
        ("a.txt.bz2", bz2.compress),
        ("a.zip", lambda zeros: zipped({"b.gz": gzip.compress(gzip.compress(zeros))})),
    ],
)
def test_a_decompression_bomb_is_hostile_wherever_it_hides(name: str, bomb: Callable[[bytes], bytes]) -> None:
    data = bomb(bytes(64 * 1024 * 1024))
    assert len(data) < 200_000
    if b"b.gz" in data:
        # As the document of its own that it is; the archive around it holds nothing but that.
        name, data = "b.gz", members(parse(data, name))["b.gz"]
    assert verdict(data, name)[0] == "hostile"


def test_members_that_share_bytes_are_hostile() -> None:
    data = bytearray(zipped({"a.txt": b"a" * 100, "b.txt": b"b" * 100}, zipfile.ZIP_STORED))
    second = data.rfind(b"PK\x01\x02")
    data[second + 42 : second + 46] = (20).to_bytes(4, "little")
    outcome, reason = verdict(bytes(data), "a.zip")
    assert (outcome, "overlap" in reason) == ("hostile", True)


def test_an_archive_of_nothing_is_empty_and_a_file_of_nothing_is_listed_only() -> None:
    assert verdict(zipped({"folder/": b""}), "a.zip")[0] == "empty"
    parsed = parse(zipped({"none.txt": b"", "a.txt": b"x"}), "a.zip")
    assert (parsed.text, [*members(parsed)]) == ("file | bytes\nnone.txt | 0\na.txt | 1", ["a.txt"])


def test_a_programs_package_is_no_archive_of_documents() -> None:
    assert verdict(zipped({"META-INF/MANIFEST.MF": b"x", "a.class": b"x"}), "tool.jar")[0] == "unsupported"
    assert verdict(zipped({"a.txt": b"x"}), "letter.docx")[0] == "malformed"


def test_what_a_pdf_in_an_archive_carries_is_brought_in_too() -> None:
    canvas_bytes = io.BytesIO()
    canvas = Canvas(canvas_bytes)
    canvas.drawString(72, 700, "The invoice of March.")
    canvas.save()
    document = pdfium.PdfDocument(canvas_bytes.getvalue())
    document.new_attachment("factur-x.xml").set_data(b"<invoice/>")
    out = io.BytesIO()
    document.save(out)
    document.close()
    names = [*members(parse(zipped({"a.pdf": out.getvalue()}), "a.zip"))]
    assert names == ["a.pdf", "a.pdf/factur-x.xml"]
