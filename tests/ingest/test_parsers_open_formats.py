"""OpenDocument files and e-books: what their readers see, in order, and nothing that they lock, hide or claim."""

from __future__ import annotations

import pytest
from archives import zipped
from linked import links

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.epub import parse_epub
from ingest.parsing.odf import parse_odp, parse_ods, parse_odt

HEADING, PARAGRAPH, ITEM, TABLE = BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.LIST_ITEM, BlockKind.TABLE
NAMES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {
        "office": "office",
        "text": "text",
        "table": "table",
        "draw": "drawing",
        "style": "style",
        "presentation": "presentation",
    }.items()
)


def odf(body: str, *, manifest: str = "<manifest/>", title: str = "") -> bytes:
    styles = (
        '<style:style style:name="P1" style:parent-style-name="Title"/>'
        '<style:style style:name="P2" style:parent-style-name="Subtitle"/>'
    )
    head = f"<office:automatic-styles>{styles}</office:automatic-styles>"
    content = f"<office:document-content {NAMES}>{head}<office:body>{body}</office:body></office:document-content>"
    meta = f'<meta xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></meta>'
    return zipped({"mimetype": "x", "META-INF/manifest.xml": manifest, "content.xml": content, "meta.xml": meta})


def blocks(parsed: Parsed) -> list[tuple[BlockKind, str]]:
    return [(block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]


def cell(text: str, attributes: str = "") -> str:
    return f"<table:table-cell {attributes}><text:p>{text}</text:p></table:table-cell>"


def row(*cells: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


def numbered(name: str, **levels: str) -> str:
    made = (
        f'<text:list-level-style-number text:level="{number}" {attributes}/>'
        for number, attributes in enumerate(levels.values(), start=1)
    )
    return f'<text:list-style style:name="{name}">{"".join(made)}</text:list-style>'


def item(text: str, inner: str = "") -> str:
    return f"<text:list-item>{f'<text:p>{text}</text:p>' if text is not None else ''}{inner}</text:list-item>"


def test_items_of_lists_bear_the_numbers_that_their_readers_see() -> None:
    style = numbered(
        "L1",
        one='style:num-format="1" style:num-suffix="." text:start-value="3"',
        two='style:num-format="a" style:num-suffix=")" text:display-levels="2"',
    )
    inner = f"<text:list>{item('inner')}{item('other')}</text:list>"
    goes_on = f'<text:list text:style-name="L1" text:continue-numbering="true">{item("third")}</text:list>'
    body = (
        f'<office:text>{style}<text:list text:style-name="L1">{item("first", inner)}{item("")}</text:list>'
        f"<text:p>Between.</text:p>{goes_on}"
        f'<text:list text:style-name="L1">{item("anew")}</text:list><text:list text:style-name="L9">{item("bullet")}'
        "</text:list></office:text>"
    )
    assert [text for _, text in blocks(parse_odt(odf(body)))] == [
        "3. first",
        "3.a) inner",
        "3.b) other",
        "Between.",
        "5. third",
        "3. anew",
        "bullet",
    ]


def test_a_cell_that_spans_rows_stands_in_each() -> None:
    covered = "<table:covered-table-cell/>"
    rows = row(cell("Plan", 'table:number-rows-spanned="2"'), cell("20")) + row(covered, cell("30")) + row(cell("x"))
    assert parse_ods(
        odf(f'<office:spreadsheet><table:table table:name="S">{rows}</table:table></office:spreadsheet>')
    ).text == ("S\n\nPlan | 20\nPlan | 30\nx")


def test_a_subtitle_is_a_heading_below_the_title() -> None:
    lines = '<text:p text:style-name="P1">Leave</text:p><text:p text:style-name="P2">In 2026</text:p>'
    parsed = parse_odt(odf(f"<office:text>{lines}</office:text>"))
    assert [(block.kind, block.level) for block in parsed.blocks] == [(HEADING, 1), (HEADING, 2)]


def test_a_cell_shows_the_numbers_of_its_lists_its_tables_and_what_its_pictures_are_of() -> None:
    style = numbered("L1", one='style:num-format="1" style:num-suffix="."')
    steps = f'<text:list text:style-name="L1">{item("Ask")}{item("Wait")}</text:list>'
    nested = f"<table:table>{row(cell('A'), cell('B'))}{row(cell('C'), cell('D'))}</table:table>"
    svg = 'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"'
    drawn = f"<text:p><draw:frame><draw:image/><svg:desc {svg}>The quay</svg:desc></draw:frame></text:p>"
    cells = "".join(f"<table:table-cell>{inner}</table:table-cell>" for inner in (steps, nested, drawn))
    rows = row(cell("Steps"), cell("Kinds"), cell("Place")) + row(cells)
    assert parse_odt(odf(f"<office:text>{style}<table:table>{rows}</table:table></office:text>")).text == (
        "Steps | Kinds | Place\n1. Ask 2. Wait | A B C D | The quay"
    )


def test_one_column_of_short_cells_is_a_table_and_one_of_long_ones_frames_text() -> None:
    def column(*texts: str) -> list[tuple[BlockKind, str]]:
        rows = "".join(row(cell(text)) for text in texts)
        return blocks(parse_odt(odf(f"<office:text><table:table>{rows}</table:table></office:text>")))

    assert column("Harbours", "Bergen", "Genoa") == [(TABLE, "Harbours\nBergen\nGenoa")]
    assert column("Mind the gap.") == [(PARAGRAPH, "Mind the gap.")]
    assert [kind for kind, _ in column("One", "word " * 60)] == [PARAGRAPH, PARAGRAPH]


def test_what_a_picture_shows_is_told_in_its_place() -> None:
    picture = '<draw:frame><draw:image/><svg:desc xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0">'
    shown = f"<text:p>Before{picture}A crane</svg:desc></draw:frame></text:p>"
    body = f"<office:text>{shown}<text:p>After</text:p></office:text>"
    assert parse_odt(odf(body)).text == "Before\n\nA crane\n\nAfter"


def test_a_slide_without_a_title_is_headed_by_the_name_that_it_was_given() -> None:
    slides = "".join(
        f'<draw:page draw:name="{name}"><draw:frame><draw:text-box><text:p>Body</text:p></draw:text-box></draw:frame>'
        "</draw:page>"
        for name in ("Outlook", "page2")
    )
    parsed = parse_odp(odf(f"<office:presentation>{slides}</office:presentation>"))
    assert blocks(parsed) == [(HEADING, "Outlook"), (PARAGRAPH, "Body"), (PARAGRAPH, "Body")]


def test_a_text_comes_out_in_its_order_without_what_was_deleted_or_commented() -> None:
    body = (
        "<office:text><text:tracked-changes><text:p>deleted words</text:p></text:tracked-changes>"
        '<text:p text:style-name="P1">Leave policy</text:p>'
        '<text:h text:outline-level="2">Carry <text:span>over</text:span></text:h>'
        '<text:p>Up to<text:s text:c="2"/>five days<text:line-break/>per year.'
        "<office:annotation><text:p>really?</text:p></office:annotation></text:p>"
        "<text:list><text:list-item><text:p>Basic</text:p><text:list><text:list-item><text:p>Nested</text:p>"
        "</text:list-item></text:list></text:list-item></text:list>"
        f"<table:table><table:table-header-rows>{row(cell('Plan'), cell('Days'))}</table:table-header-rows>"
        f"{row(cell('Basic'), cell('20'))}</table:table>"
        "<text:p>See<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>The annex.</text:p>"
        "</text:note-body></text:note> there.</text:p>"
        "<text:p><draw:frame><draw:text-box><text:p>Boxed</text:p></draw:text-box></draw:frame></text:p></office:text>"
    )
    parsed = parse_odt(odf(body))
    assert parsed.title == "Leave policy"
    assert blocks(parsed) == [
        (HEADING, "Leave policy"),
        (HEADING, "Carry over"),
        (PARAGRAPH, "Up to  five days\nper year."),
        (ITEM, "Basic"),
        (ITEM, "Nested"),
        (TABLE, "Plan | Days\nBasic | 20"),
        (PARAGRAPH, "See there."),
        (PARAGRAPH, "The annex."),
        (PARAGRAPH, "Boxed"),
    ]
    assert [block.level for block in parsed.blocks if block.level] == [1, 2]


def anchor(target: str, shown: str) -> str:
    return f'<text:a xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="{target}">{shown}</text:a>'


def test_links_of_a_text_are_kept_with_where_they_lead() -> None:
    note = f"<text:note><text:note-body><text:p>A {anchor('note.odt', 'rule')}.</text:p></text:note-body></text:note>"
    rules = anchor("https://example.org/rules", "the <text:span>old</text:span> rules")
    body = (
        f"<office:text><text:h>{anchor('index.odt', 'Home')}</text:h>"
        f"<text:p>See{note} {rules}, {anchor('#below', 'not this')}.</text:p>"
        f"<text:list>{item(anchor('../item.odt', 'item'))}</text:list>"
        f"<table:table>{row(cell(anchor('f1.odt', 'F1')), cell('leave'))}</table:table></office:text>"
    )
    assert links(parse_odt(odf(body))) == [
        ("Home", "index.odt"),
        ("the old rules", "https://example.org/rules"),
        ("rule", "note.odt"),
        ("item", "../item.odt"),
        ("F1", "f1.odt"),
    ]


def test_links_of_slides_are_kept_with_where_they_lead() -> None:
    boxes = "".join(
        f'<draw:frame presentation:class="{kind}"><draw:text-box><text:p>{words}</text:p></draw:text-box></draw:frame>'
        for kind, words in (("title", anchor("plan.odp", "The plan")), ("outline", anchor("a.odp", "A")))
    )
    slides = f"<office:presentation><draw:page>{boxes}</draw:page></office:presentation>"
    assert links(parse_odp(odf(slides))) == [("The plan", "plan.odp"), ("A", "a.odp")]


def test_a_spreadsheet_is_a_heading_and_tables_for_each_sheet() -> None:
    sheet = row(cell("Plan"), cell("Days")) + row(cell("Basic"), cell("20")) + row(cell("")) + row(cell("Alone"))
    body = f'<office:spreadsheet><table:table table:name="Leave">{sheet}</table:table></office:spreadsheet>'
    assert blocks(parse_ods(odf(body, title="Entitlements"))) == [
        (HEADING, "Leave"),
        (TABLE, "Plan | Days\nBasic | 20"),
        (PARAGRAPH, "Alone"),
    ]
    assert parse_ods(odf(body, title="Entitlements")).title == "Entitlements"


def test_repetitions_are_read_and_absurd_ones_bounded() -> None:
    twice = cell("x", 'table:number-columns-repeated="2"')
    many = cell("y", 'table:number-columns-repeated="999999999999"')
    blank = '<table:table-cell table:number-columns-repeated="16384"/>'
    rows = row(twice, blank) + row(many) + row(blank, attributes='table:number-rows-repeated="1048576"')
    body = f'<office:spreadsheet><table:table table:name="S">{rows}</table:table></office:spreadsheet>'
    table = blocks(parse_ods(odf(body)))[1][1].split("\n")
    assert table[0] == "x | x"
    assert 2 < table[1].count("y") < 2_000
    assert len(table) == 2


def test_a_presentation_has_its_slides_as_pages_and_its_notes_marked() -> None:
    def slide(title: str, text: str, notes: str = "") -> str:
        return (
            f'<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>{title}</text:p></draw:text-box>'
            f"</draw:frame><draw:frame><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"
            '<draw:frame presentation:class="footer"><draw:text-box><text:p>ACME</text:p></draw:text-box></draw:frame>'
            f"<presentation:notes><draw:frame><draw:text-box><text:p>{notes}</text:p></draw:text-box></draw:frame>"
            "</presentation:notes></draw:page>"
        )

    slides = slide("Plan", "Start now", "Smile") + slide("End", "Thanks")
    parsed = parse_odp(odf(f"<office:presentation>{slides}</office:presentation>"))
    assert blocks(parsed) == [
        (HEADING, "Plan"),
        (PARAGRAPH, "Start now"),
        (PARAGRAPH, "Notes: Smile"),
        (HEADING, "End"),
        (PARAGRAPH, "Thanks"),
    ]
    assert [block.page for block in parsed.blocks] == [1, 1, 1, 2, 2]


def test_a_file_under_a_password_is_encrypted() -> None:
    locked = odf("<office:text/>", manifest="<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>")
    with pytest.raises(UnreadableDocument) as failure:
        parse_odt(locked)
    assert failure.value.verdict == "encrypted"


LAUGHS = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "haha"><!ENTITY b "&a;&a;&a;&a;">]><a>&b;</a>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><a>&a;</a>'


@pytest.mark.parametrize("declared", [LAUGHS, OUTSIDE], ids=["laughs", "outside"])
def test_declared_entities_are_hostile_in_either_format(declared: str) -> None:
    for parse, data in (
        (parse_odt, zipped({"content.xml": declared})),
        (parse_epub, book() | {"content/package.opf": declared}),
    ):
        with pytest.raises(UnreadableDocument, match="entities") as failure:
            parse(data if isinstance(data, bytes) else zipped(data))
        assert failure.value.verdict == "hostile"


CONTAINER = '<container><rootfiles><rootfile full-path="content/package.opf"/></rootfiles></container>'
PACKAGE = """<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>Handbook</dc:title></metadata>
<manifest><item id="b" href="b%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>
<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="x" href="ncx.ncx" media-type="application/x-dtbncx+xml"/>
<item id="unused" href="unused.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/><itemref idref="a"/></spine></package>"""
NCX = (
    '<?xml version="1.0"?><!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://www.daisy.org/z3986/2005/ncx.dtd">'
    "<ncx><navMap><navPoint><navLabel><text>From the map</text></navLabel><content src='b%20b.xhtml#x'/></navPoint>"
    "</navMap></ncx>"
)


def book() -> dict[str, str | bytes]:
    return {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "content/package.opf": PACKAGE,
        "content/b b.xhtml": "<html><body><p>Second chapter.</p></body></html>",
        "content/a.xhtml": "<html><body><h1>One</h1><p>First chapter.</p><ul><li>item</li></ul></body></html>",
        "content/nav.xhtml": "<html><body><nav><a href='b%20b.xhtml'>Chapter two</a></nav></body></html>",
        "content/ncx.ncx": NCX,
        "content/unused.xhtml": "<p>never shown</p>",
    }


def test_chapters_come_in_the_order_of_the_spine_each_once_under_a_heading() -> None:
    parsed = parse_epub(zipped(book()))
    assert parsed.title == "Handbook"
    assert blocks(parsed) == [
        (HEADING, "One"),
        (PARAGRAPH, "First chapter."),
        (ITEM, "item"),
        (HEADING, "Chapter two"),
        (PARAGRAPH, "Second chapter."),
    ]


def test_a_book_keeps_its_links_to_the_web_and_none_to_its_own_pages() -> None:
    chapter = (
        "<p>See <a href='b%20b.xhtml#x'>the second chapter</a>, <a href='https://example.org/a'>the author</a> and "
        "<a href='../content/nav.xhtml'>the contents</a>.</p>"
    )
    parsed = parse_epub(zipped(book() | {"content/a.xhtml": chapter}))
    assert links(parsed) == [("the author", "https://example.org/a")]
    assert "See the second chapter, the author and the contents." in parsed.text


def test_an_older_book_takes_its_missing_headings_from_its_map() -> None:
    members = book() | {
        "content/package.opf": PACKAGE.replace(' properties="nav"', "").replace('idref="n"', 'idref="z"')
    }
    assert (HEADING, "From the map") in blocks(parse_epub(zipped(members)))

    damaged = parse_epub(zipped(members | {"content/ncx.ncx": NCX.replace("</text>", "& more</text>")}))
    assert "Second chapter." in damaged.text
    assert "From the map" not in damaged.text


def test_a_locked_book_is_encrypted_and_one_with_obfuscated_fonts_is_not() -> None:
    def with_method(algorithm: str) -> bytes:
        locked = f'<encryption><EncryptedData><EncryptionMethod Algorithm="{algorithm}"/></EncryptedData></encryption>'
        return zipped(book() | {"META-INF/encryption.xml": locked})

    assert parse_epub(with_method("http://www.idpf.org/2008/embedding")).text
    with pytest.raises(UnreadableDocument) as failure:
        parse_epub(with_method("http://www.w3.org/2001/04/xmlenc#aes256-cbc"))
    assert failure.value.verdict == "encrypted"


def test_a_book_cannot_point_out_of_itself() -> None:
    members = book() | {"content/package.opf": PACKAGE.replace("a.xhtml", "../../../etc/hostname")}
    assert "First chapter." not in parse_epub(zipped(members)).text


@pytest.mark.parametrize("missing", ["META-INF/container.xml", "content/package.opf"])
def test_a_book_without_its_parts_is_malformed(missing: str) -> None:
    members = book()
    del members[missing]
    with pytest.raises(UnreadableDocument, match="damaged") as failure:
        parse_epub(zipped(members))
    assert failure.value.verdict == "malformed"
