# ruff: noqa: E501 - a language a line
"""Source code to the letter, cut where definitions begin; notebooks as text, code and what it wrote."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from linked import links

from core.documents import BlockKind, Parsed, clean_text
from core.errors import UnreadableDocument
from ingest.chunking import chunk
from ingest.parsing.code_languages import DEFINITIONS
from ingest.parsing.formats import parse
from ingest.parsing.notebooks import parse_notebook
from ingest.parsing.source_code import parse_code

HEADING, CODE = BlockKind.HEADING, BlockKind.CODE

PYTHON = '''"""A module about leave."""

import os

# How many days there are.
DAYS = 20


class Leave(Base):
    """Paid leave."""

    def days(self, year: int) -> int:
        # Twenty, as the law has it.
        return DAYS

    async def later(
        self,
    ) -> None: ...


def main() -> None:
    classes = define("x")
'''


def headings(parsed: Parsed) -> list[tuple[int | None, str]]:
    found = [block for block in parsed.blocks if block.kind is HEADING]
    return [(block.level, parsed.text[block.start : block.end]) for block in found]


def test_code_keeps_every_character_and_its_definitions_are_headings() -> None:
    parsed = parse(PYTHON.encode(), "leave.py")
    assert parsed.text == PYTHON.rstrip()
    assert parsed.media_type == "text/x-python"
    assert headings(parsed) == [
        (1, "class Leave(Base):"),
        (2, "def days(self, year: int) -> int:"),
        (2, "async def later("),
        (1, "def main() -> None:"),
    ]
    pieces = chunk(parsed, lambda texts: [len(text.split()) * 3 + 2 for text in texts], 256)
    comment = next(piece for piece in pieces if "# Twenty" in parsed.text[piece.start : piece.end])
    assert "class Leave(Base):" in (*comment.heading, parsed.text[comment.start : comment.end].split("\n")[0])


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("a.js", "export default class Leave {\n  days(year) {\n    if (x) {\n    }\n  }\n}\nfunction main() {}\nconst f = async (x) => 1;", ["export default class Leave {", "days(year) {", "function main() {}", "const f = async (x) => 1;"]),
        ("a.ts", "export interface Leave {\n  days: number;\n}\nexport async function main(): Promise<void> {}", ["export interface Leave {", "export async function main(): Promise<void> {}"]),
        ("A.java", "package x;\npublic final class Leave {\n    private static int days(int year) {\n        return helper(year);\n    }\n}", ["public final class Leave {", "private static int days(int year) {"]),
        ("a.cs", "namespace X {\n  internal sealed class Leave {\n    public async Task<int> Days() {\n      return await F();\n    }\n  }\n}", ["namespace X {", "internal sealed class Leave {", "public async Task<int> Days() {"]),
        ("a.c", "#include <x.h>\nstruct leave {\n  int days;\n};\nstatic int days(int year)\n{\n  return f(year);\n}\nint x = 1;\n", ["struct leave {", "static int days(int year)"]),
        ("a.go", "package x\ntype Leave struct {\n}\nfunc (l *Leave) Days() int {\n}\n", ["type Leave struct {", "func (l *Leave) Days() int {"]),
        ("a.rs", "pub struct Leave;\nimpl Leave {\n    pub fn days(&self) -> u32 { 20 }\n}\n", ["pub struct Leave;", "impl Leave {", "pub fn days(&self) -> u32 { 20 }"]),
        ("a.rb", "module X\n  class Leave\n    def days\n      20\n    end\n  end\nend\n", ["module X", "class Leave", "def days"]),
        ("a.php", "<?php\nabstract class Leave {\n  public function days() {}\n}\n", ["abstract class Leave {", "public function days() {}"]),
        ("a.kt", "data class Leave(val days: Int)\nfun main() {}\n", ["data class Leave(val days: Int)", "fun main() {}"]),
        ("a.swift", "public struct Leave {\n  func days() -> Int { 20 }\n}\n", ["public struct Leave {", "func days() -> Int { 20 }"]),
        ("a.sh", "set -e\ndeploy() {\n  ls\n}\n", ["deploy() {"]),
        ("a.sql", "CREATE TABLE leave (\n  days int\n);\ncreate or replace function f() returns int as $$\n", ["CREATE TABLE leave (", "create or replace function f() returns int as $$"]),
        ("a.tf", 'resource "aws_s3_bucket" "b" {\n  acl = "private"\n}\n', ['resource "aws_s3_bucket" "b" {']),
        ("a.toml", "[tool.ruff]\nline-length = 120\n", ["[tool.ruff]"]),
        ("a.yaml", "leave:\n  days: 20\n", []),
    ],
)  # fmt: skip
def test_definitions_are_found_in_the_languages_people_write(name: str, code: str, expected: list[str]) -> None:
    parsed = parse(code.encode(), name)
    assert [text for _, text in headings(parsed)] == expected
    assert parsed.text == code.rstrip()


@pytest.mark.parametrize("language", sorted(DEFINITIONS))
@given(st.one_of(st.text(max_size=200), st.text("{}()[];:=<>.,* \n\tabcdef", max_size=300)))
def test_any_text_keeps_its_characters_in_blocks_in_order(language: str, text: str) -> None:
    try:
        parsed = parse_code(text.encode(), language)
    except UnreadableDocument as failure:
        assert failure.verdict == "empty"
        return
    assert parsed.text == clean_text(parsed.text)
    edges = [edge for block in parsed.blocks for edge in (block.start, block.end)]
    assert edges == sorted(edges) and edges[-1] <= len(parsed.text)
    inside = {place for block in parsed.blocks for place in range(block.start, block.end)}
    assert all(parsed.text[place].isspace() for place in range(len(parsed.text)) if place not in inside)


@pytest.mark.parametrize("language", sorted(DEFINITIONS))
def test_no_line_takes_more_than_its_length_is_worth(language: str) -> None:
    lines = [
        piece * 25 for piece in ("public ", "a<b, ", "const x = (", "x" * 15, "static void (", "class ", "(((", "* & :")
    ]
    began = time.process_time()
    parse_code("\n".join(lines * 100).encode(), language)
    parse_code(b"f(" * 500_000, language)
    assert time.process_time() - began < 5.0


NOTEBOOK = {
    "nbformat": 4,
    "cells": [
        {"cell_type": "markdown", "source": ["# Leave\n", "Some *text*."]},
        {
            "cell_type": "code",
            "source": "print(20)",
            "outputs": [
                {"output_type": "stream", "text": ["20\n"]},
                {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"}},
                {"output_type": "execute_result", "data": {"text/html": "<table><tr><th>a<th>b<tr><td>1<td>2</table>", "text/plain": "x"}},
                {"output_type": "error", "ename": "ValueError", "evalue": "no days", "traceback": ["..."]},
            ],
        },
        {"cell_type": "raw", "source": "As written."},
    ],
}  # fmt: skip


def test_a_notebook_is_its_text_its_code_and_what_that_wrote() -> None:
    parsed = parse_notebook(json.dumps(NOTEBOOK).encode())
    assert parsed.title == "Leave"
    assert [(block.kind.value, parsed.text[block.start : block.end]) for block in parsed.blocks] == [
        ("heading", "Leave"),
        ("paragraph", "Some text."),
        ("code", "print(20)"),
        ("code", "20"),
        ("code", "<Figure>"),
        ("table", "a | b\n1 | 2"),
        ("code", "ValueError: no days"),
        ("paragraph", "As written."),
    ]
    old = {"nbformat": 3, "worksheets": [{"cells": [{"cell_type": "heading", "level": 2, "source": "Old"}]}]}
    assert parse_notebook(json.dumps(old).encode()).text == "Old"


def test_the_text_of_a_notebook_keeps_its_links() -> None:
    cells = [{"cell_type": "markdown", "source": f"See [{name}]({name}.ipynb)."} for name in ("one", "two")]
    parsed = parse_notebook(json.dumps({"nbformat": 4, "cells": cells}).encode())
    assert links(parsed) == [("one", "one.ipynb"), ("two", "two.ipynb")]


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"cells": 1}'])
def test_a_notebook_that_is_none_is_damaged_or_empty(data: bytes) -> None:
    with pytest.raises(UnreadableDocument) as failure:
        parse_notebook(data)
    assert failure.value.verdict in ("malformed", "empty")
