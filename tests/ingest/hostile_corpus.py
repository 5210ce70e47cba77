"""Files made to harm whoever opens them, each with the verdicts that are right for it.

Run as a program (`hostile_corpus.py FOLDER PORT`) it writes them with a manifest, so that whoever measures how much
memory reading them takes does not measure their making. `PORT` is where files that would call home call.
"""

# A file that is written out byte by byte is easier to see on one line than on five.
# ruff: noqa: E501

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import random
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MIB = 1024 * 1024
MARK = "footnote-hostile-escaped"
"""Part of the name of every file that a careless parser would write somewhere else."""
SECRET = "footnote-hostile-secret"
"""What the file says that external entities name; no text may hold it."""

READ = frozenset(("text",))
REFUSED = frozenset(("hostile",))
BROKEN = frozenset(("malformed",))
# What a damaged or odd file may come to, as long as it is no failure of ours.
ENDS_WELL = frozenset(("text", "malformed", "empty", "hostile", "unsupported", "encrypted", "too_large", "partial"))
NOT_READ = ENDS_WELL - {"text", "partial"}


@dataclass(frozen=True)
class Hostile:
    """One file; `verdicts` are those that are right, "text" where its text is to come out."""

    name: str
    data: bytes
    verdicts: frozenset[str]
    deep: bool = False


def hostile_files(port: int, secret: Path) -> Iterator[Hostile]:
    """All of them, in an order that does not change."""
    yield from _zip_bombs()
    yield from _odd_archives()
    yield from _tars()
    yield from _xml(port, secret)
    yield from _macros()
    yield from _pdfs(port)
    yield from _deep()
    yield from _pictures()
    yield from _polyglots()
    yield from _long()
    yield from _encodings()
    yield from _mails()
    yield from _damaged()


# Containers


@dataclass(frozen=True)
class Raw:
    """A member of a ZIP archive, whatever it claims."""

    name: bytes
    packed: bytes
    size: int
    crc: int = 0
    method: int = 8
    flags: int = 0
    attributes: int = 0


def raw_zip(members: list[Raw], comment: bytes = b"", *, overlapping: bool = False) -> bytes:
    """An archive written by hand (APPNOTE.TXT 4.3); overlapping members share the first one's bytes."""
    body, directory, first = bytearray(), bytearray(), 0
    for number, one in enumerate(members):
        at = first if overlapping and number else len(body)
        fields = (20, one.flags, one.method, 0, 33, one.crc, len(one.packed), one.size, len(one.name), 0)
        if at == len(body):
            body += struct.pack("<4s5H3I2H", b"PK\x03\x04", *fields) + one.name + one.packed
        tail = (0, 0, 0, one.attributes, at)
        directory += struct.pack("<4sH5H3I2H3H2I", b"PK\x01\x02", 0x031E, *fields, *tail) + one.name
    end = struct.pack(
        "<4s4H2IH", b"PK\x05\x06", 0, 0, len(members), len(members), len(directory), len(body), len(comment)
    )
    return bytes(body + directory) + end + comment


def zipped(members: dict[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@cache
def zeros(mebibytes: int) -> tuple[bytes, int]:
    """So many zero bytes as one deflate stream, and their checksum."""
    packer, crc, packed = zlib.compressobj(9, zlib.DEFLATED, -15), 0, bytearray()
    for _ in range(mebibytes):
        packed += packer.compress(bytes(MIB))
        crc = zlib.crc32(bytes(MIB), crc)
    return bytes(packed + packer.flush()), crc


def bomb(name: str, mebibytes: int = 64, claimed: int | None = None) -> Raw:
    packed, crc = zeros(mebibytes)
    return Raw(name.encode(), packed, mebibytes * MIB if claimed is None else claimed, crc)


def stored(name: str | bytes, data: bytes, **more: int) -> Raw:
    encoded = name.encode() if isinstance(name, str) else name
    return Raw(encoded, data, len(data), zlib.crc32(data), 0, **more)


@cache
def good(kind: str) -> bytes:
    """A small sound document of a kind."""
    return GOOD[kind]()


def _docx() -> bytes:
    from docx import Document

    document = Document()
    document.add_heading("Leave", 1)
    document.add_paragraph("Everybody has twenty days of leave a year.")
    document.add_table(2, 2).cell(0, 0).text = "days"
    return _saved(document.save)


def _xlsx() -> bytes:
    from openpyxl import Workbook

    workbook = Workbook()
    for row in (("name", "days"), ("Ana", 20), ("Ben", 22)):
        workbook.active.append(row)
    return _saved(workbook.save)


def _pptx() -> bytes:
    from pptx import Presentation

    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Leave"
    slide.placeholders[1].text = "Everybody has twenty days."
    return _saved(presentation.save)


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


ODF_NAMES = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
)


def odf(kind: str, body: str, head: str = "") -> bytes:
    content = f'<?xml version="1.0"?>{head}<office:document-content {ODF_NAMES}><office:body>{body}</office:body></office:document-content>'
    return zipped({"mimetype": f"application/vnd.oasis.opendocument.{kind}", "content.xml": content})


def epub(chapter: str, package_head: str = "") -> bytes:
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    package = (
        f'<?xml version="1.0"?>{package_head}<package xmlns="http://www.idpf.org/2007/opf"><metadata/><manifest>'
        '<item id="one" href="one.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="one"/></spine></package>'
    )
    members: dict[str, bytes | str] = {"mimetype": "application/epub+zip", "META-INF/container.xml": container}
    return zipped(members | {"book.opf": package, "one.xhtml": chapter})


PAGE = "<html><body><h1>Leave</h1><p>Everybody has twenty days of leave a year.</p></body></html>"
MAIL = (
    b"From: ana@example.com\r\nTo: ben@example.com\r\nSubject: Leave\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nTwenty days.\r\n'
    b'--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename="a.txt"\r\n\r\nmore\r\n--b--\r\n'
)

GOOD: dict[str, Callable[[], bytes]] = {
    "docx": _docx,
    "xlsx": _xlsx,
    "pptx": _pptx,
    "odt": lambda: odf("text", "<office:text><text:p>Twenty days of leave.</text:p></office:text>"),
    "ods": lambda: odf(
        "spreadsheet",
        "<office:spreadsheet><table:table table:name='s'><table:table-row><table:table-cell><text:p>days</text:p>"
        "</table:table-cell></table:table-row></table:table></office:spreadsheet>",
    ),
    "odp": lambda: odf("presentation", "<office:presentation><text:p>Twenty days.</text:p></office:presentation>"),
    "epub": lambda: epub(PAGE),
    "pdf": lambda: pdf(),
    "html": lambda: PAGE.encode(),
    "eml": lambda: MAIL,
    "json": lambda: json.dumps({"title": "Leave", "days": [{"name": "Ana", "days": 20}, {"name": "Ben"}]}).encode(),
    "xml": lambda: b"<?xml version='1.0'?><leave><person name='Ana'><days>20</days></person></leave>",
}
ZIPS = ("docx", "xlsx", "pptx", "odt", "ods", "odp", "epub")


def _with(kind: str, member: Raw, *, overlapping_with: int = 0) -> bytes:
    """A sound document of a kind with one member more (or, of the same name, in its place)."""
    with zipfile.ZipFile(io.BytesIO(good(kind))) as source:
        members = [stored(name, source.read(name)) for name in source.namelist() if name.encode() != member.name]
    twins = [Raw(b"t%d" % n, member.packed, member.size, member.crc) for n in range(overlapping_with)]
    if not twins:
        return raw_zip([*members, member])
    # Their directory entries all point to the one before them.
    archive = raw_zip([*members, member, *twins])
    start = archive.index(b"PK\x01\x02")
    target = archive.index(member.name) - 30
    data = bytearray(archive)
    at = start
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        length = struct.unpack_from("<H", data, at + 28)[0]
        if data[at + 46 : at + 46 + length].startswith(b"t"):
            struct.pack_into("<I", data, at + 42, target)
        at += 46 + length
    return bytes(data)


def _zip_bombs() -> Iterator[Hostile]:
    main = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml", "pptx": "ppt/presentation.xml", "epub": "one.xhtml"}
    for kind in ZIPS:
        part = main.get(kind, "content.xml")
        yield Hostile(f"bomb-main-part.{kind}", _with(kind, bomb(part)), REFUSED)
        yield Hostile(f"bomb-beside.{kind}", _with(kind, bomb("extra/zeros.bin")), REFUSED)
        yield Hostile(f"bomb-that-lies.{kind}", _with(kind, bomb(part, claimed=1_000)), NOT_READ)
        twins = _with(kind, Raw(b"overlap.bin", zeros(1)[0], MIB, zeros(1)[1]), overlapping_with=400)
        yield Hostile(f"bomb-overlapping.{kind}", twins, REFUSED)
        many = raw_zip([*(stored(f"x/{n}", b"") for n in range(10_001))])
        yield Hostile(f"bomb-of-members.{kind}", _joined(good(kind), many), NOT_READ)
    quine = stored("again.zip", b"PK")
    nested = raw_zip([bomb("zeros.txt", 8)])
    for depth in range(1, 12):
        nested = raw_zip(
            [Raw(b"%d.zip" % (depth * 10 + n), nested, len(nested), zlib.crc32(nested), 0) for n in range(3)]
        )
        if len(nested) > MIB:
            break
    yield Hostile("nested-in-nested.zip", nested, frozenset(("hostile", "text")))
    deep = b"leave"
    for depth in range(60):
        deep = zipped({f"{depth}.zip" if depth else "a.txt": deep})
    yield Hostile("sixty-deep.zip", deep, ENDS_WELL)
    yield Hostile("bomb.zip", raw_zip([bomb("zeros.txt")]), REFUSED)
    yield Hostile("bomb-that-lies.zip", raw_zip([bomb("zeros.txt", claimed=5)]), ENDS_WELL)
    yield Hostile("bomb-in-mail.eml", _mail_with("zeros.zip", raw_zip([bomb("zeros.txt")])), ENDS_WELL)
    yield Hostile("many-small-bombs.zip", raw_zip([bomb(f"{n}.txt", 4) for n in range(300)]), REFUSED)
    yield Hostile("half-a-member-again.zip", raw_zip([quine, quine]), ENDS_WELL)
    overlapping = raw_zip([Raw(b"%d" % n, *_packed(b"kernel" * 100)) for n in range(3_000)], overlapping=True)
    yield Hostile("overlapping.zip", overlapping, REFUSED)
    for name, pack in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)):
        yield Hostile(f"bomb.txt.{name}", pack(bytes(48 * MIB)), REFUSED)
        layered = b"leave"
        for _ in range(30):
            layered = pack(layered)
        yield Hostile(f"thirty-times-over.txt.{name}", layered, NOT_READ)
        yield Hostile(f"thirty-times-over.{name}", layered, REFUSED)
    yield Hostile("bomb-of-bombs.tar.gz", gzip.compress(gzip.compress(bytes(64 * MIB))), NOT_READ)


def _packed(data: bytes) -> tuple[bytes, int, int]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush(), len(data), zlib.crc32(data)


def _joined(one: bytes, other: bytes) -> bytes:
    """Two archives in one file: programs read the one at the end."""
    return one + other


EVIL_NAMES = (
    f"../../../../../../../../tmp/{MARK}-1.txt",
    f"/tmp/{MARK}-2.txt",
    f"..\\..\\..\\tmp\\{MARK}-3.txt",
    f"C:\\tmp\\{MARK}-4.txt",
    f"a/../../{MARK}-5.txt",
    f"./.././{MARK}-6.txt",
    f"//host/share/{MARK}-7.txt",
    f"{MARK}-8.txt\x00.pdf",
    f"~/{MARK}-9.txt",
    f"{'a' * 400}/{MARK}-10.txt",
    "CON.txt",
    "...txt",
    "..",
    "",
    "a\nb.txt",
    "\u202etxt.exe",
    "-rf.txt",
    "access.yaml",
)


def _odd_archives() -> Iterator[Hostile]:
    members = [stored(name.encode("utf-8", "surrogateescape"), b"Twenty days.") for name in EVIL_NAMES]
    yield Hostile("names-that-climb.zip", raw_zip(members), ENDS_WELL)
    for number, name in enumerate(EVIL_NAMES[:9]):
        yield Hostile(f"name-{number}.zip", raw_zip([stored(name, b"Twenty days.")]), ENDS_WELL)
    link = 0o120777 << 16
    links = [
        stored("passwd.txt", b"/etc/passwd", attributes=link),
        stored("home", b"../../../..", attributes=link),
        stored(f"home/{MARK}-11.txt", b"Twenty days."),
        stored("device.txt", b"", attributes=0o020666 << 16),
        stored("good.txt", b"Twenty days."),
    ]
    yield Hostile("links.zip", raw_zip(links), ENDS_WELL)
    yield Hostile(
        "twins.zip", raw_zip([stored("a.txt", b"one"), stored("a.txt", b"two"), stored("A.TXT", b"three")]), READ
    )
    yield Hostile("locked.zip", raw_zip([stored("a.txt", b"x" * 40, flags=1)]), frozenset(("encrypted",)))
    for method in (1, 6, 12, 14, 93, 97, 99):
        packed = Raw(b"a.txt", b"x" * 40, 1_000, method=method)
        yield Hostile(f"method-{method}.zip", raw_zip([packed]), ENDS_WELL)
    sound = raw_zip([stored("a.txt", b"Twenty days.")])
    yield Hostile("no-directory.zip", sound[: sound.index(b"PK\x01\x02")], NOT_READ)
    yield Hostile("long-comment.zip", raw_zip([stored("a.txt", b"Twenty days.")], b"PK\x05\x06" * 16_000), ENDS_WELL)
    for name, at, value in (("count", 10, 65_535), ("offset", 16, 0xFFFFFFF0), ("size", 12, 0xFFFFFFF0)):
        lie = bytearray(sound)
        struct.pack_into("<H" if name == "count" else "<I", lie, len(lie) - 22 + at, value)
        yield Hostile(f"end-lies-about-{name}.zip", bytes(lie), ENDS_WELL)
    zip64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1 << 60, 1 << 60, 1 << 62, 0)
    zip64 += struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)
    yield Hostile("zip64-of-exabytes.zip", b"PK\x03\x04" + zip64 + sound[-22:-12] + b"\xff" * 10 + b"\0\0", NOT_READ)


def _tars() -> Iterator[Hostile]:
    def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as target:
            for info, data in members:
                info.size = len(data)
                target.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        return info

    names = [(entry(name.replace("\x00", "")), b"Twenty days.") for name in EVIL_NAMES if name]
    yield Hostile("names-that-climb.tar", tarred(*names), ENDS_WELL)
    special = [
        (entry("passwd.txt", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (entry("shadow.txt", tarfile.LNKTYPE, "/etc/shadow"), b""),
        (entry("up", tarfile.SYMTYPE, "../../../../tmp"), b""),
        (entry(f"up/{MARK}-12.txt"), b"Twenty days."),
        (entry("device", tarfile.CHRTYPE), b""),
        (entry("pipe", tarfile.FIFOTYPE), b""),
        (entry("good.txt"), b"Twenty days."),
    ]
    yield Hostile("links-and-devices.tar", tarred(*special), READ)
    sound = bytearray(tarred((entry("a.txt"), b"Twenty days.")))
    for name, size in (("exabytes", b"\x80" + b"\x00" * 3 + b"\x10" + b"\x00" * 7), ("negative", b"\xff" * 12)):
        lie = bytearray(sound)
        lie[124:136] = size
        lie[148:156] = b" " * 8
        lie[148:156] = b"%06o\0 " % sum(lie[:512])
        yield Hostile(f"{name}.tar", bytes(lie), NOT_READ | READ)
    pax = tarfile.TarInfo("x")
    pax.type, header = tarfile.XHDTYPE, b"20 path=" + b"a/" * 400_000 + b"\n"
    pax.size = len(header)
    yield Hostile("pax-of-a-megabyte.tar", pax.tobuf() + header + bytes(-len(header) % 512) + bytes(sound), ENDS_WELL)
    nested = bytes(sound)
    for _ in range(40):
        nested = tarred((entry("again.tar"), nested))
    yield Hostile("forty-deep.tar", nested, ENDS_WELL)
    yield Hostile("many.tar.gz", gzip.compress(tarred(*((entry(f"{n}.txt"), b"x") for n in range(10_500)))), REFUSED)
    yield Hostile("cut-off.tar.gz", gzip.compress(bytes(sound))[:-30], NOT_READ | READ)


# XML


def _entities(port: int, secret: Path) -> dict[str, tuple[str, str]]:
    """Document types that blow up or reach out, each with what to put into the text."""
    laughs = "".join(f"<!ENTITY l{n} '{'&l' + str(n - 1) + ';'}{('&l' + str(n - 1) + ';') * 9}'>" for n in range(1, 10))
    return {
        "laughs": (f"<!DOCTYPE x [<!ENTITY l0 'ha'>{laughs}]>", "&l9;"),
        "quadratic": (f"<!DOCTYPE x [<!ENTITY q '{'q' * 100_000}'>]>", "&q;" * 20_000),
        "xxe-file": (f"<!DOCTYPE x [<!ENTITY e SYSTEM '{secret.as_uri()}'>]>", "&e;"),
        "xxe-http": (f"<!DOCTYPE x [<!ENTITY e SYSTEM 'http://127.0.0.1:{port}/xxe'>]>", "&e;"),
        "parameter": (f"<!DOCTYPE x [<!ENTITY % p SYSTEM 'http://127.0.0.1:{port}/p'> %p;]>", "leave"),
    }


def _external_types(port: int) -> dict[str, str]:
    return {
        "external-dtd": f"<!DOCTYPE x SYSTEM 'http://127.0.0.1:{port}/dtd'>",
        "public-dtd": f"<!DOCTYPE x PUBLIC '-//X//X' 'http://127.0.0.1:{port}/dtd'>",
    }


def _xml(port: int, secret: Path) -> Iterator[Hostile]:
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    word = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    for name, (head, text) in _entities(port, secret).items():
        body = f"<office:text><text:p>{text}</text:p></office:text>"
        sheet = f"<sst xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'><si><t>{text}</t></si></sst>"
        document = f"{declaration}{head}<w:document {word}><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>"
        svg = f"{declaration}{head}<svg xmlns='http://www.w3.org/2000/svg'><text>{text}</text></svg>"
        yield Hostile(f"{name}.xml", f"{declaration}{head}<x>{text}</x>".encode(), REFUSED)
        yield Hostile(f"{name}-utf16.xml", f"{head}<x>{text}</x>".encode("utf-16"), REFUSED)
        yield Hostile(f"{name}.docx", _with("docx", stored("word/document.xml", document.encode())), REFUSED)
        yield Hostile(f"{name}-relations.docx", _with("docx", stored("_rels/.rels", document.encode())), REFUSED)
        yield Hostile(
            f"{name}.xlsx",
            _with("xlsx", stored("xl/sharedStrings.xml", (declaration + head + sheet).encode())),
            REFUSED,
        )
        yield Hostile(f"{name}.pptx", _with("pptx", stored("ppt/slides/slide1.xml", document.encode())), REFUSED)
        yield Hostile(f"{name}.odt", odf("text", body, head), REFUSED)
        yield Hostile(f"{name}.epub", epub(PAGE, head), REFUSED)
        # HTML knows no entities of the author's own, and nothing is asked for.
        yield Hostile(f"{name}.html", f"{head}<html><body><p>Leave {text[:1_000]}</p></body></html>".encode(), READ)
        yield Hostile(f"{name}.svg", svg.encode(), ENDS_WELL - READ | REFUSED)
    for name, head in _external_types(port).items():
        yield Hostile(f"{name}.xml", f"{declaration}{head}<x>Twenty days</x>".encode(), frozenset(("hostile", "text")))
        yield Hostile(f"{name}.odt", odf("text", "<office:text><text:p>Leave</text:p></office:text>", head), ENDS_WELL)
        yield Hostile(f"{name}.docx", _with("docx", stored("word/document.xml", (head + "<x/>").encode())), REFUSED)
    include = "<x xmlns:i='http://www.w3.org/2001/XInclude'><y>Leave</y><i:include parse='text' href='{}'/></x>"
    yield Hostile("xinclude-file.xml", include.format(secret.as_uri()).encode(), READ)
    yield Hostile("xinclude-http.xml", include.format(f"http://127.0.0.1:{port}/x").encode(), READ)
    style = f"<?xml-stylesheet href='http://127.0.0.1:{port}/s.xsl' type='text/xsl'?><x>Twenty days</x>"
    yield Hostile("stylesheet.xml", style.encode(), READ)
    template = f"<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'><Relationship Id='r1' Type='http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate' Target='http://127.0.0.1:{port}/t.dotm' TargetMode='External'/></Relationships>"
    yield Hostile(
        "remote-template.docx", _with("docx", stored("word/_rels/settings.xml.rels", template.encode())), READ
    )
    climbing = (
        template.replace("attachedTemplate", "officeDocument")
        .replace(f"http://127.0.0.1:{port}/t.dotm", "../../../../etc/passwd")
        .replace(" TargetMode='External'", "")
    )
    yield Hostile("relation-that-climbs.docx", _with("docx", stored("_rels/.rels", climbing.encode())), NOT_READ)
    yield Hostile(
        "remote-picture.html",
        f"<p>Leave<img src='http://127.0.0.1:{port}/p'><script src='http://127.0.0.1:{port}/s'></script>".encode(),
        READ,
    )
    yield Hostile(
        "remote-include.md",
        f"![leave](http://127.0.0.1:{port}/p)\n\nTwenty days\n\n[x]: http://127.0.0.1:{port}/".encode(),
        READ,
    )


def _macros() -> Iterator[Hostile]:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 4_088
    for kind, suffix, folder in (("docx", "docm", "word"), ("xlsx", "xlsm", "xl"), ("pptx", "pptm", "ppt")):
        yield Hostile(f"macros.{suffix}", _with(kind, stored(f"{folder}/vbaProject.bin", ole)), READ)
        yield Hostile(f"embedded.{kind}", _with(kind, stored(f"{folder}/embeddings/oleObject1.bin", ole)), READ)
    yield Hostile("sectors-in-a-circle.doc", ole + b"\x00" * 8_192, NOT_READ)
    yield Hostile("formulas.csv", b"name,days\n=cmd|'/c calc'!A0,@SUM(1)\n+1,-1\n", READ)
    yield Hostile(
        "write18.tex",
        rb"\immediate\write18{touch /tmp/" + MARK.encode() + rb"}\input{/etc/passwd} Twenty days.",
        ENDS_WELL,
    )
    yield Hostile("include.adoc", b"= Leave\n\ninclude::/etc/passwd[]\n\nTwenty days.\n", ENDS_WELL)
    yield Hostile(
        "include.rst",
        b"Leave\n=====\n\n.. include:: /etc/passwd\n\n.. raw:: html\n   :file: /etc/passwd\n\nTwenty days.\n",
        ENDS_WELL,
    )
    yield Hostile(
        "include.org", b'* Leave\n#+INCLUDE: "/etc/passwd"\n#+begin_src sh :results output\nid\n#+end_src\n', ENDS_WELL
    )
    yield Hostile(
        "tags.yaml", b"!!python/object/apply:os.system ['touch /tmp/" + MARK.encode() + b"-yaml']\n", ENDS_WELL
    )


# PDF


def pdf(
    objects: dict[int, bytes] | None = None,
    *,
    page: bytes = b"",
    content: bytes = b"",
    tail: bytes = b"",
    root: bytes = b"",
) -> bytes:
    """A page that says "Twenty days of leave", with objects added or replaced."""
    shown = content or b"BT /F1 24 Tf 72 700 Td (Twenty days of leave) Tj ET"
    every = {
        1: b"<< /Type /Catalog /Pages 2 0 R " + root + b">>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> /XObject << /X 6 0 R >> >> " + page + b">>",
        4: stream(shown),
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        6: stream(b"", b"/Type /XObject /Subtype /Form /BBox [0 0 1 1]"),
    } | (objects or {})
    data, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), {}
    for number, body in sorted(every.items()):
        places[number] = len(data)
        data += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start, last = len(data), max(every)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (last + 1)
    data += b"".join(b"%010d 00000 n \n" % places.get(number, 0) for number in range(1, last + 1))
    return bytes(data + b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (last + 1, tail, start))


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n" % (len(data), entries) + data + b"\nendstream"


DRAW = b"/X Do BT /F1 24 Tf 72 700 Td (Twenty days of leave) Tj ET"
FORM = b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /X 6 0 R /Y 7 0 R >> /Font << /F1 5 0 R >> >>"


def _pdfs(port: int) -> Iterator[Hostile]:
    yield from _page_trees()
    yield from _drawings()
    yield from _packed_content()
    yield from _odd_objects()
    yield from _reaching_pdfs(port)
    yield Hostile("header-alone.pdf", b"%PDF-1.7\n", NOT_READ)
    yield Hostile("rubbish.pdf", b"%PDF-1.7\n" + random.Random(4).randbytes(100_000), NOT_READ)


def _page_trees() -> Iterator[Hostile]:
    sound = pdf()
    at = sound.rindex(b"startxref")
    place = sound[at:].split()[1]
    yield Hostile("xref-to-itself.pdf", pdf(tail=b"/Prev " + place), ENDS_WELL)
    yield Hostile("prev-loop.pdf", sound.replace(b"/Root", b"/Prev " + place + b" /Root"), ENDS_WELL)
    yield Hostile("xref-far-away.pdf", sound[:at] + b"startxref\n99999999999999999999\n%%EOF", ENDS_WELL)
    yield Hostile("page-tree-loop.pdf", pdf({2: b"<< /Type /Pages /Kids [3 0 R 2 0 R] /Count 2 >>"}), ENDS_WELL)
    yield Hostile("page-tree-of-itself.pdf", pdf({2: b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"}), NOT_READ)
    yield Hostile(
        "page-is-its-parent.pdf", pdf({3: b"<< /Type /Pages /Parent 3 0 R /Kids [3 0 R] /Count 1 >>"}), NOT_READ
    )
    yield Hostile(
        "a-million-pages-claimed.pdf", pdf({2: b"<< /Type /Pages /Kids [3 0 R] /Count 1000000 >>"}), ENDS_WELL
    )
    yield Hostile("pages-below-nought.pdf", pdf({2: b"<< /Type /Pages /Kids [3 0 R] /Count -1 >>"}), ENDS_WELL)
    same = b"<< /Type /Pages /Kids [" + b"3 0 R " * 5_001 + b"] /Count 5001 >>"
    yield Hostile("one-page-five-thousand-times.pdf", pdf({2: same}), ENDS_WELL)
    chain = {n: b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (n + 1) for n in range(10, 5_000)}
    chain[5_000] = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R >>"
    yield Hostile(
        "page-tree-five-thousand-deep.pdf", pdf(chain | {2: b"<< /Type /Pages /Kids [10 0 R] /Count 1 >>"}), ENDS_WELL
    )
    doubling = {
        n: b"<< /Type /Pages /Kids [%d 0 R %d 0 R] /Count %d >>" % (n + 1, n + 1, 2 ** (40 - n)) for n in range(10, 40)
    }
    doubling[40] = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R >>"
    yield Hostile(
        "a-billion-pages-in-thirty-objects.pdf",
        pdf(doubling | {2: b"<< /Type /Pages /Kids [10 0 R] /Count 1073741824 >>"}),
        ENDS_WELL,
    )


def _drawings() -> Iterator[Hostile]:
    yield Hostile("form-draws-itself.pdf", pdf({6: stream(b"/X Do", FORM)}, content=DRAW), ENDS_WELL)
    pair = {6: stream(b"/Y Do /Y Do", FORM), 7: stream(b"/X Do /X Do", FORM)}
    yield Hostile("forms-draw-each-other.pdf", pdf(pair, content=DRAW), ENDS_WELL | {"oom", "timeout"}, deep=True)
    forms = {
        n: stream(
            b"/X Do " * 10,
            b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /X %d 0 R >> >>" % (n + 1),
        )
        for n in range(10, 20)
    }
    forms[20] = stream(b"0 0 1 1 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 612 792]")
    yield Hostile(
        "ten-billion-drawings.pdf",
        pdf(forms | {6: stream(b"/X Do", FORM.replace(b"/X 6 0 R", b"/X 10 0 R"))}, content=DRAW),
        ENDS_WELL | {"oom", "timeout"},
        deep=True,
    )
    outline = b"<< /Title (a) /Parent 10 0 R /Next 11 0 R /Prev 11 0 R /First 10 0 R /Last 10 0 R /Dest [3 0 R /Fit] >>"
    yield Hostile(
        "outline-loop.pdf",
        pdf({10: b"<< /Type /Outlines /First 11 0 R /Last 11 0 R /Count 1 >>", 11: outline}, root=b"/Outlines 10 0 R "),
        READ,
    )


def _packed_content() -> Iterator[Hostile]:
    packed = zlib.compress(b"BT /F1 24 Tf 72 700 Td (Twenty days of leave) Tj ET " + b" " * 64 * MIB, 9)
    yield Hostile("content-bomb.pdf", pdf({4: stream(packed, b"/Filter /FlateDecode")}), ENDS_WELL | {"oom"})
    layered = zlib.compress(zlib.compress(bytes(64 * MIB), 9), 9)
    yield Hostile(
        "content-bomb-in-layers.pdf", pdf({4: stream(layered, b"/Filter [/FlateDecode /FlateDecode]")}), ENDS_WELL
    )
    filters = b"/Filter [" + b"/ASCIIHexDecode " * 5_000 + b"]"
    yield Hostile("five-thousand-filters.pdf", pdf({4: stream(b"4254", filters)}), ENDS_WELL)
    predictor = (
        b"/Filter /FlateDecode /DecodeParms << /Predictor 15 /Columns 2147483647 /Colors 32 /BitsPerComponent 16 >>"
    )
    yield Hostile("predictor-of-gigabytes.pdf", pdf({4: stream(zlib.compress(b"\x02" * 1_000), predictor)}), ENDS_WELL)
    yield Hostile(
        "lzw-of-rubbish.pdf",
        pdf({4: stream(bytes(range(256)) * 400, b"/Filter /LZWDecode /DecodeParms << /EarlyChange 7 >>")}),
        ENDS_WELL,
    )
    picture = b"/Type /XObject /Subtype /Image /Width 2147483647 /Height 2147483647 /BitsPerComponent 8 /ColorSpace /DeviceRGB"
    yield Hostile("picture-of-exabytes.pdf", pdf({6: stream(b"x", picture)}, content=DRAW), READ)
    wide = picture.replace(b"2147483647", b"60000")
    yield Hostile(
        "picture-of-gigabytes.pdf",
        pdf({6: stream(zlib.compress(bytes(MIB)), wide + b" /Filter /FlateDecode")}, content=DRAW),
        READ,
    )
    yield Hostile("page-of-a-light-year.pdf", pdf(page=b"/MediaBox [0 0 1e38 1e38] "), ENDS_WELL)
    yield Hostile("page-of-nothing.pdf", pdf(page=b"/MediaBox [0 0 0 0] "), ENDS_WELL)
    yield Hostile("units-of-miles.pdf", pdf(page=b"/UserUnit 1e30 "), ENDS_WELL)


def _odd_objects() -> Iterator[Hostile]:
    nested = b"[" * 50_000 + b"]" * 50_000
    yield Hostile("arrays-fifty-thousand-deep.pdf", pdf({10: nested}, page=b"/Deep 10 0 R "), ENDS_WELL)
    yield Hostile(
        "dictionaries-in-content.pdf", pdf(content=b"/A " + b"<< /A " * 50_000 + b" BDC (x) Tj EMC"), ENDS_WELL
    )
    yield Hostile("saves-without-end.pdf", pdf(content=b"q " * 500_000 + DRAW), ENDS_WELL)
    yield Hostile(
        "text-a-million-times.pdf",
        pdf(content=b"BT /F1 9 Tf 9 9 Td " + b"(leave) Tj 0 1 Td " * 30_000 + b"ET"),
        ENDS_WELL | {"timeout"},
        deep=True,
    )
    glyph = b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1 1] /FontMatrix [1 0 0 1 0 0] /FirstChar 84 /LastChar 84 /Widths [1] /Encoding << /Differences [84 /T] >> /CharProcs << /T 7 0 R >> /Resources << /Font << /F1 5 0 R >> >> >>"
    yield Hostile("glyph-draws-itself.pdf", pdf({5: glyph, 7: stream(b"1 0 d0 BT /F1 1 Tf (T) Tj ET")}), ENDS_WELL)
    cmap = stream(
        b"/CIDInit /ProcSet findresource begin begincmap 1 beginbfrange <0000> <FFFFFFFF> <0041> endbfrange endcmap"
    )
    font = b"<< /Type /Font /Subtype /Type0 /BaseFont /A /Encoding /Identity-H /ToUnicode 7 0 R /DescendantFonts [8 0 R] >>"
    descendant = b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /A /CIDSystemInfo << /Registry (A) /Ordering (I) /Supplement 0 >> >>"
    yield Hostile("characters-of-four-billion.pdf", pdf({5: font, 7: cmap, 8: descendant}), ENDS_WELL)
    yield Hostile("font-is-a-page.pdf", pdf({5: b"3 0 R"}), ENDS_WELL)
    yield Hostile("length-of-itself.pdf", pdf({4: b"<< /Length 4 0 R >>\nstream\nBT ET\nendstream"}), ENDS_WELL)
    objects = stream(b"7 0 8 10 << >> 7 0 R", b"/Type /ObjStm /N 2147483647 /First 10 /Extends 10 0 R")
    yield Hostile("object-stream-of-itself.pdf", pdf({10: objects}, page=b"/A 7 0 R "), ENDS_WELL)


def _reaching_pdfs(port: int) -> Iterator[Hostile]:
    xfa = f"<!DOCTYPE x [<!ENTITY e SYSTEM 'http://127.0.0.1:{port}/xfa'>]><xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'><x>&e;</x></xdp:xdp>"
    form_root = b"/AcroForm << /XFA 10 0 R /Fields [] >> "
    yield Hostile("xfa-xxe.pdf", pdf({10: stream(xfa.encode())}, root=form_root), READ)
    yield Hostile(
        "metadata-xxe.pdf",
        pdf({10: stream(xfa.encode(), b"/Type /Metadata /Subtype /XML")}, root=b"/Metadata 10 0 R "),
        READ,
    )
    script = b"/OpenAction << /S /JavaScript /JS (app.launchURL\\('http://127.0.0.1:%d/js'\\)) >> " % port
    yield Hostile("script.pdf", pdf(root=script), READ)
    yield Hostile("launch.pdf", pdf(root=b"/OpenAction << /S /Launch /F (/bin/sh) >> "), READ)
    yield Hostile("uri.pdf", pdf(root=b"/OpenAction << /S /URI /URI (http://127.0.0.1:%d/uri) >> " % port), READ)
    yield Hostile(
        "remote-stream.pdf",
        pdf({4: b"<< /Length 0 /F << /FS /URL /F (http://127.0.0.1:%d/f) >> >>\nstream\n\nendstream" % port}),
        ENDS_WELL,
    )
    locked = b"/Encrypt << /Filter /Standard /V 4 /R 4 /Length 128 /O <%s> /U <%s> /P -4 >> /ID [<00> <00>]" % (
        b"00" * 32,
        b"11" * 32,
    )
    yield Hostile("locked.pdf", pdf(tail=locked), frozenset(("encrypted", "malformed")))


# Depth


def _deep() -> Iterator[Hostile]:
    yield from _deep_data()
    yield from _deep_pages()
    yield from _deep_markup()
    yield from _deep_office_files()
    yield from _deep_lists()


def _deep_data() -> Iterator[Hostile]:
    n = 100_000
    yield Hostile("arrays.json", b"[" * n + b"]" * n, REFUSED | BROKEN)
    yield Hostile("objects.json", b'{"a":' * n + b"1" + b"}" * n, REFUSED | BROKEN)
    yield Hostile("arrays-nine-hundred.json", b"[" * 900 + b"1" + b"]" * 900, ENDS_WELL)
    yield Hostile("open-arrays.json", b"[" * n, REFUSED | BROKEN)
    yield Hostile("lines.jsonl", (b"[" * 5_000 + b"]" * 5_000 + b"\n") * 3, REFUSED | BROKEN)
    yield Hostile("digits.json", b'{"a": ' + b"9" * 100_000 + b"}", ENDS_WELL)
    yield Hostile("exponent.json", b'{"a": 1e999999999, "b": -1E+99999, "c": NaN}', ENDS_WELL)
    yield Hostile("same-key.json", b"{" + b'"a": 1,' * 100_000 + b'"a": 2}', READ)
    yield Hostile("elements.xml", b"<a>" * n + b"x" + b"</a>" * n, REFUSED | BROKEN)
    yield Hostile("open-elements.xml", b"<a>" * n, REFUSED | BROKEN)
    yield Hostile(
        "attributes.xml", b"<a " + b" ".join(b'a%d="x"' % k for k in range(20_000)) + b">leave</a>", ENDS_WELL
    )
    yield Hostile(
        "names.xml",
        b"<a:x " + b" ".join(b'xmlns:n%d="u%d"' % (k, k) for k in range(20_000)) + b" xmlns:a='a'>leave</a:x>",
        ENDS_WELL,
    )


def _deep_pages() -> Iterator[Hostile]:
    for tag in (
        "div",
        "table><tr><td",
        "ul><li",
        "blockquote",
        "b",
        "font",
        "svg",
        "template",
        "select",
        "p",
        "a",
        "h1",
    ):
        yield Hostile(f"deep-{tag.partition('>')[0]}.html", f"<{tag}>".encode() * 5_000 + b"Twenty days", ENDS_WELL)
    yield Hostile("deeper.html", b"<ul><li>" * 40_000 + b"Twenty days", ENDS_WELL | {"timeout"}, deep=True)
    yield Hostile("deeper-tables.html", b"<table><tr><td>" * 20_000 + b"leave", ENDS_WELL | {"timeout"}, deep=True)
    yield Hostile("misnested.html", b"<b><i><u><a><p>" * 400 + b"leave" + b"</b></i></u></a></p>" * 400, ENDS_WELL)
    yield Hostile("attributes.html", b"<p " + b" ".join(b"a%d=b" % k for k in range(10_000)) + b">Twenty days", READ)
    more = b"<p " + b" ".join(b"a%d=b" % k for k in range(100_000)) + b">Twenty days"
    yield Hostile("more-attributes.html", more, frozenset(("text", "timeout")), deep=True)
    yield Hostile(
        "span.html", b"<table><tr><td colspan=99999999 rowspan=99999999>leave</td><th>x</th></tr></table>", READ
    )
    yield Hostile("open-comment.html", b"<p>leave</p>" + b"<!--" * 100_000, ENDS_WELL)
    yield Hostile("open-cdata.html", b"<p>leave<svg>" + b"<![CDATA[" * 50_000, ENDS_WELL)


def _deep_markup() -> Iterator[Hostile]:
    for name, piece in {
        "quotes": b"> ",
        "brackets": b"[",
        "stars": b"*a **a ",
        "lists": b"- ",
        "ticks": b"`` ` ",
        "images": b"![[]()",
        "links": b"[a](<b",
        "tags": b"<a ",
        "entities": b"&#x41",
        "underscores": b"_a __a ",
        "pipes": b"|",
        "emphasis": b"***a ",
    }.items():
        yield Hostile(f"{name}.md", b"# Leave\n\n" + piece * 10_000 + b"\nTwenty days\n", ENDS_WELL)
    yield Hostile("stairs.md", b"".join(b" " * k + b"- a\n" for k in range(1_000)), ENDS_WELL)
    yield Hostile("references.md", b"[a]: b\n" * 20_000 + b"[a]" * 20_000, ENDS_WELL)
    yield Hostile("columns.md", b"|a" * 2_000 + b"|\n" + b"|-" * 2_000 + b"|\n" + b"|b|\n" * 50, ENDS_WELL)
    yield Hostile("braces.tex", rb"\section{Leave} " + b"{" * 50_000 + b" Twenty days", ENDS_WELL)
    yield Hostile("environments.tex", rb"\begin{itemize}\item a " * 5_000, ENDS_WELL)
    yield Hostile("definitions.tex", rb"\def\a{\b\b}\def\b{\a\a}\newcommand{\c}{\c\c} \a \c Twenty days", ENDS_WELL)
    yield Hostile("groups.rtf", rb"{\rtf1 " + b"{" * 100_000 + b"leave" + b"}" * 100_000 + b"}", ENDS_WELL)
    yield Hostile("binary.rtf", rb"{\rtf1 \bin2147483647 x Twenty days}", ENDS_WELL)
    yield Hostile("stairs.org", b"".join(b"*" * k + b" a\n" for k in range(1, 1_000)), ENDS_WELL)
    yield Hostile("stairs.rst", b"".join(b" " * k + b"* a\n\n" for k in range(400)), ENDS_WELL)
    yield Hostile("blocks.adoc", b"= Leave\n\n" + b"".join(b"=" * k + b"\na\n" for k in range(4, 400)), ENDS_WELL)


def _deep_office_files() -> Iterator[Hostile]:
    deep = f"{'<w:p><w:r><w:pict><v:textbox><w:txbxContent>' * 2_000}".encode()
    word = (
        b"<w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main' xmlns:v='urn:v'><w:body>"
    )
    yield Hostile("boxes.docx", _with("docx", stored("word/document.xml", word + deep)), NOT_READ)
    tables = b"<w:tbl><w:tr><w:tc>" * 2_000 + b"<w:p/>" + b"</w:tc></w:tr></w:tbl>" * 2_000
    yield Hostile(
        "tables.docx", _with("docx", stored("word/document.xml", word + tables + b"</w:body></w:document>")), ENDS_WELL
    )
    spans = "<text:span>" * 5_000 + "leave" + "</text:span>" * 5_000
    yield Hostile("spans.odt", odf("text", f"<office:text><text:p>{spans}</text:p></office:text>"), ENDS_WELL)
    sections = "<text:section>" * 5_000 + "<text:p>leave</text:p>" + "</text:section>" * 5_000
    yield Hostile("sections.odt", odf("text", f"<office:text>{sections}</office:text>"), ENDS_WELL)
    cell = "<table:table-cell table:number-columns-repeated='2147483647'><text:p>leave</text:p></table:table-cell>"
    rows = f"<table:table table:name='s'><table:table-row table:number-rows-repeated='2147483647'>{cell}</table:table-row></table:table>"
    yield Hostile(
        "repeated-cells.ods", odf("spreadsheet", f"<office:spreadsheet>{rows}</office:spreadsheet>"), ENDS_WELL
    )
    far = b"<worksheet xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'><dimension ref='A1:XFD1048576'/><sheetData><row r='1048576'><c r='XFD1048576' t='inlineStr'><is><t>leave</t></is></c></row></sheetData></worksheet>"
    yield Hostile("cell-far-away.xlsx", _with("xlsx", stored("xl/worksheets/sheet1.xml", far)), ENDS_WELL)
    merged = far.replace(b"</sheetData>", b"</sheetData><mergeCells><mergeCell ref='A1:XFD1048576'/></mergeCells>")
    yield Hostile("merged-all.xlsx", _with("xlsx", stored("xl/worksheets/sheet1.xml", merged)), ENDS_WELL)
    index = far.replace(b"t='inlineStr'", b"t='s'").replace(b"<is><t>leave</t></is>", b"<v>4000000000</v>")
    yield Hostile("string-that-is-none.xlsx", _with("xlsx", stored("xl/worksheets/sheet1.xml", index)), ENDS_WELL)


def _deep_lists() -> Iterator[Hostile]:
    yield Hostile("columns.csv", b"," * 500_000 + b"\n" + b"a,b\n" * 5, ENDS_WELL)
    yield Hostile("open-quote.csv", b'a,b\n"' + b"x,y\n" * 100_000, ENDS_WELL)
    yield Hostile("quotes.csv", b'""' * 300_000, ENDS_WELL)
    yield Hostile("cues.vtt", b"WEBVTT\n\n" + b"99999999:99:99.999 --> 00:00:00.000\n<v " * 5_000, ENDS_WELL)
    yield Hostile("cues.srt", b"1\n00:00:01,000 --> 00:00:00,000\n" * 10_000, ENDS_WELL)
    outputs = json.dumps(
        {"cells": [{"cell_type": "code", "source": "x", "outputs": [{"data": 7}]}] * 5_000, "nbformat": 4}
    )
    yield Hostile("outputs.ipynb", outputs.encode(), ENDS_WELL)
    yield Hostile(
        "folded.ics",
        b"BEGIN:VCALENDAR\n" + b"BEGIN:VEVENT\n" * 20_000 + b"SUMMARY:Leave\n" + b" x\n" * 50_000,
        ENDS_WELL,
    )


# Pictures


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def tiff(width: int, height: int, following: int = 0, more: tuple[tuple[int, int, int, int], ...] = ()) -> bytes:
    entries = (
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (279, 4, 1, 1),
        *more,
    )
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<2H2I", *entry) for entry in entries)
    return b"II*\x00" + struct.pack("<I", 8) + directory + struct.pack("<I", following)


def _pictures() -> Iterator[Hostile]:
    floods = {
        "flood.png": png(65_535, 65_535, png_chunk(b"IDAT", zlib.compress(bytes(100)))),
        "flood-most.png": png(2**31 - 1, 2**31 - 1),
        "flood.jpg": b"\xff\xd8\xff\xc0" + struct.pack(">HB2HB", 17, 8, 65_535, 65_535, 3) + b"\1\x11\0\2\x11\0\3\x11\0" + b"\xff\xda\0\x0c\3\1\0\2\0\3\0\0\x3f\0" + bytes(50) + b"\xff\xd9",
        "flood.tif": tiff(65_535, 65_535),
        "flood-most.tif": tiff(2**32 - 1, 2**32 - 1),
        "flood.gif": b"GIF89a" + struct.pack("<2H3B", 65_535, 65_535, 0x80, 0, 0) + bytes(6) + b"," + struct.pack("<4HB", 0, 0, 65_535, 65_535, 0) + b"\2\1\0\0;",
        "flood.bmp": b"BM" + struct.pack("<I4xI", 100, 54) + struct.pack("<I2i2H6I", 40, 65_535, 65_535, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(50),
        "flood-upside-down.bmp": b"BM" + struct.pack("<I4xI", 100, 54) + struct.pack("<I2i2H6I", 40, 2**31 - 1, -(2**31), 1, 1, 0, 0, 0, 0, 0, 0) + bytes(50),
        "flood.webp": b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xfe\xff\xff" * 2 + bytes(8),
        "flood-lossless.webp": b"RIFF" + struct.pack("<I", 26) + b"WEBPVP8L" + struct.pack("<I", 10) + b"\x2f\xff\xff\xff\xff" + bytes(5),
    }  # fmt: skip
    for name, data in floods.items():
        yield Hostile(name, data, NOT_READ)
    zipped_text = b"Comment\0\0" + zlib.compress(bytes(64 * MIB), 9)
    yield Hostile("text-bomb.png", png(1, 1, png_chunk(b"zTXt", zipped_text)), NOT_READ)
    profile = b"ICC\0\0" + zlib.compress(bytes(64 * MIB), 9)
    yield Hostile("profile-bomb.png", png(1, 1, png_chunk(b"iCCP", profile)), NOT_READ)
    data_bomb = png(100, 100, png_chunk(b"IDAT", zlib.compress(bytes(64 * MIB), 9)))
    yield Hostile("data-bomb.png", data_bomb, ENDS_WELL)
    yield Hostile("no-pixels.png", png(0, 0, png_chunk(b"IDAT", b"")), NOT_READ)
    yield Hostile(
        "chunk-of-gigabytes.png", b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31 - 1) + b"IHDR" + bytes(20), NOT_READ
    )
    yield Hostile("directory-loop.tif", tiff(1, 1, following=8), NOT_READ)
    yield Hostile("directory-far-away.tif", tiff(1, 1, following=0xFFFFFFF0), ENDS_WELL)
    yield Hostile(
        "entries-of-gigabytes.tif", tiff(10, 10, more=((270, 2, 2**32 - 1, 8), (273, 4, 2**31, 8))), ENDS_WELL
    )
    frames = b"".join(b"," + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\2\2\x4c\1\0" for _ in range(50_000))
    yield Hostile(
        "fifty-thousand-frames.gif",
        b"GIF89a" + struct.pack("<2H3B", 1, 1, 0x80, 0, 0) + bytes(6) + frames + b";",
        ENDS_WELL,
        deep=True,
    )
    yield Hostile("markers.jpg", b"\xff\xd8" + b"\xff\xe1\x00\x02" * 100_000 + b"\xff\xd9", NOT_READ)
    exif = b"Exif\0\0" + tiff(1, 1, following=8)[:-4] + struct.pack("<I", 8)
    yield Hostile(
        "exif-loop.jpg", b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + b"\xff\xd9", NOT_READ
    )


# Polyglots


def _polyglots() -> Iterator[Hostile]:
    page = b"<html><body><p>Twenty days<script>1</script></body></html>"
    yield Hostile("pdf-and-zip.pdf", pdf() + zipped({"a.txt": "other"}), READ)
    yield Hostile("pdf-and-zip.zip", pdf() + zipped({"a.txt": "other"}), ENDS_WELL)
    yield Hostile("page-and-pdf.html", page + b"\n%PDF-1.7\n", READ)
    yield Hostile("pdf-and-page.pdf", b"%PDF-1.7\n<!--" + page, NOT_READ)
    yield Hostile("picture-and-script.gif", b"GIF89a/*" + bytes(10) + b"*/=1;alert(1)//;", NOT_READ)
    yield Hostile("picture-and-zip.png", png(1, 1) + zipped({"a.txt": "x"}), NOT_READ)
    yield Hostile(
        "docx-and-odt.docx", _with("docx", stored("mimetype", b"application/vnd.oasis.opendocument.text")), ENDS_WELL
    )
    yield Hostile("docx-and-xlsx.docx", _with("docx", stored("xl/workbook.xml", b"<workbook/>")), ENDS_WELL)
    yield Hostile("zip-called-docx.docx", zipped({"a.txt": "Twenty days"}), ENDS_WELL)
    yield Hostile("docx-called-pdf.pdf", good("docx"), READ)
    yield Hostile("page-called-docx.docx", page, READ)
    yield Hostile("program.txt", b"MZ\x90\x00" + bytes(2_000), frozenset(("unsupported",)))
    yield Hostile("program.pdf", b"\x7fELF" + bytes(2_000), NOT_READ)
    yield Hostile("mail-and-zip.eml", MAIL + zipped({"a.txt": "x"}), ENDS_WELL)
    yield Hostile("rtf-and-page.html", rb"{\rtf1 " + page + b"}", ENDS_WELL)
    yield Hostile("page-in-utf7.html", b"+ADw-script+AD4-alert(1)+ADw-/script+AD4- Twenty days", ENDS_WELL)
    yield Hostile("archive-before-archive.zip", zipped({"a.txt": "one"}) + zipped({"b.txt": "two"}), ENDS_WELL)


# Length


def _long() -> Iterator[Hostile]:
    for suffix in ("txt", "md", "html", "csv", "json", "xml", "log", "py", "tex", "org", "rst", "adoc"):
        yield Hostile(f"one-line.{suffix}", b"leave " * 170_000, ENDS_WELL)
    yield Hostile("one-word.txt", b"a" * (4 * MIB), READ)
    yield Hostile("lines.txt", b"\n" * (4 * MIB) + b"leave", READ)
    yield Hostile("blocks.txt", b"a\n\n" * 50_000, READ)
    yield Hostile("more-blocks.txt", b"a\n\n" * 600_000, frozenset(("too_large", "timeout")), deep=True)
    yield Hostile("spaces.html", b"<p>leave" + b" " * (4 * MIB), READ)
    yield Hostile("marks.txt", b"e" + "\u0301".encode() * 1_000_000, ENDS_WELL)
    yield Hostile("ligatures.txt", "\ufdfa".encode() * 300_000, ENDS_WELL)
    yield Hostile("thirty-megabytes-in-one-line.txt", b"leave " * (5 * MIB), READ, deep=True)
    yield Hostile("sixty-megabytes-in-one-line.txt", b"leave " * (10 * MIB), frozenset(("too_large",)), deep=True)
    yield Hostile("over-the-limit.txt", b"leave " * (18 * MIB), frozenset(("too_large",)), deep=True)


# Encodings


def _encodings() -> Iterator[Hostile]:
    text = "Zwanzig Tage Urlaub für jeden.\n"
    samples = {
        "invalid-utf8": text.encode() + b"\xc0\x80\xff\xfe\xf5\x80\x80\x80",
        "overlong": b"leave \xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf",
        "surrogates": "leave \ud800\udfff \udc00".encode("utf-8", "surrogatepass"),
        "odd-utf16": text.encode("utf-16") + b"x",
        "two-marks": b"\xff\xfe\xef\xbb\xbf" + text.encode(),
        "utf32": text.encode("utf-32"),
        "utf32-out-of-range": b"\xff\xfe\x00\x00" + b"\xff\xff\xff\x7f" * 10,
        "nuls": b"leave\x00" * 1_000,
        "mark-alone": b"\xef\xbb\xbf",
        "bidi": "leave \u202e\u2066\u2067 evael\u2069".encode(),
        "controls": bytes(range(32)) * 10 + b"leave",
        "ebcdic": text.encode("cp500", "replace"),
        "shift-jis-cut": "有給休暇は二十日です。".encode("shift_jis")[:-1],
    }
    for name, data in samples.items():
        yield Hostile(f"{name}.txt", data, ENDS_WELL)
    for declared in ("zlib_codec", "rot13", "utf-16", "idna", "undefined", "hex", "no-such", "unicode_escape", "utf-7"):
        yield Hostile(f"declares-{declared}.html", f"<meta charset={declared}><p>Twenty days".encode(), READ)
        yield Hostile(
            f"declares-{declared}.xml", f"<?xml version='1.0' encoding='{declared}'?><x>leave</x>".encode(), ENDS_WELL
        )
        mail = MAIL.replace(
            b"Content-Type: text/plain\r\n\r\nTwenty",
            b"Content-Type: text/plain; charset=%s\r\n\r\nTwenty" % declared.encode(),
        )
        yield Hostile(f"declares-{declared}.eml", mail, READ)


# Mail


def _mail_with(name: str, data: bytes) -> bytes:
    part = (
        b'Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename="%s"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        % name.encode()
    )
    return MAIL.replace(b"--b--", b"--b\r\n" + part + base64.encodebytes(data) + b"--b--")


def _mails() -> Iterator[Hostile]:
    head = b"From: a@b.example\r\nSubject: Leave\r\nMIME-Version: 1.0\r\n"
    many = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 12_000 + b"--b--"
    yield Hostile("twelve-thousand-parts.eml", head + many, REFUSED)
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(3_000))
    yield Hostile("three-thousand-deep.eml", head + nested + b"\r\nTwenty days", ENDS_WELL)
    same = b"".join(b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n' for _ in range(2_000))
    yield Hostile("one-boundary-for-all.eml", head + same + b"\r\nTwenty days", ENDS_WELL)
    inner = head + b"\r\nTwenty days"
    for _ in range(300):
        inner = head + b"Content-Type: message/rfc822\r\n\r\n" + inner
    yield Hostile("mail-in-mail.eml", inner, ENDS_WELL)
    yield Hostile("header-of-megabytes.eml", head + b"X: " + b"a" * (3 * MIB) + b"\r\n\r\nTwenty days", ENDS_WELL)
    yield Hostile("headers.eml", head + b"X: a\r\n" * 100_000 + b"\r\nTwenty days", ENDS_WELL)
    yield Hostile("folded-header.eml", head + b"X: a\r\n" + b" b\r\n" * 100_000 + b"\r\nTwenty days", ENDS_WELL)
    yield Hostile(
        "encoded-words.eml", b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\r\n" + head + b"\r\nTwenty days", ENDS_WELL
    )
    yield Hostile(
        "parameters.eml",
        head + b"Content-Type: text/plain" + b";a*%d*=b" % 0 * 20_000 + b"\r\n\r\nTwenty days",
        ENDS_WELL,
    )
    yield Hostile("addresses.eml", b"To: " + b"(" * 50_000 + b"\r\n" + head + b"\r\nTwenty days", ENDS_WELL)
    for number, name in enumerate(EVIL_NAMES[:8]):
        plain = name.replace("\x00", "")
        yield Hostile(f"attachment-{number}.eml", _mail_with(plain, b"Twenty days."), READ)
    yield Hostile(
        "base64-of-rubbish.eml", _mail_with("a.txt", b"").replace(b"--b--", b"=" * 100_000 + b"\r\n--b--"), ENDS_WELL
    )
    yield Hostile(
        "begin.eml",
        head + b"\r\nbegin 777 ../../" + MARK.encode() + b"\r\nM" + b"x" * 60 + b"\r\n`\r\nend\r\n",
        ENDS_WELL,
    )
    mbox = b"From a@b Thu Jan  1 00:00:00 1970\n" + head.replace(b"\r", b"") + b"\nTwenty days\n\n"
    yield Hostile("many.mbox", mbox * 500, ENDS_WELL)
    yield Hostile("deep.mbox", mbox + b">" * 500_000 + b"From x\n", ENDS_WELL)
    calls = b'Content-Type: message/external-body; access-type=URL; URL="http://127.0.0.1/x"\r\n\r\n\r\n'
    yield Hostile("body-elsewhere.eml", head + calls, ENDS_WELL)


# Damage


def _damaged() -> Iterator[Hostile]:
    """Sound documents cut short, with bytes turned over, and with a stretch overwritten; always the same ones."""
    chance = random.Random(7)
    for kind in GOOD:
        data = good(kind)
        for share in (0.1, 0.5, 0.97):
            yield Hostile(f"cut-at-{share:.0%}.{kind}", data[: int(len(data) * share)], ENDS_WELL)
        for number in range(3):
            turned = bytearray(data)
            for _ in range(max(1, len(data) // 400)):
                turned[chance.randrange(len(turned))] ^= 1 << chance.randrange(8)
            yield Hostile(f"turned-{number}.{kind}", bytes(turned), ENDS_WELL)
        begin = chance.randrange(len(data) // 2)
        length = min(200, len(data) // 4)
        yield Hostile(
            f"overwritten.{kind}", data[:begin] + chance.randbytes(length) + data[begin + length :], ENDS_WELL
        )


def write_corpus(folder: Path, port: int) -> None:
    """Write all files and `manifest.json`: a list of file, name, verdicts and whether it is for slow runs alone."""
    secret = folder / "secret.txt"
    secret.write_text(SECRET, "ascii")
    rows = []
    for number, one in enumerate(hostile_files(port, secret)):
        (folder / f"{number}.bin").write_bytes(one.data)
        rows.append([f"{number}.bin", one.name, sorted(one.verdicts), one.deep])
    (folder / "manifest.json").write_text(json.dumps(rows), "ascii")


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]), int(sys.argv[2]))
