"""Filters as people write them: paths, types and dates, and what is said of those that make no sense."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import WrongUsage
from retrieval.filters import NO_FILTERS, Filters, filters_of, media_types_of, type_name
from retrieval.path_patterns import paths_matching


def finds(pattern: str, path: str) -> bool:
    return paths_matching([pattern]).search(f"{path}\nfile:///elsewhere") is not None


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("legal", ["legal", "legal/nda.md", "legal/a/b.md"], ["legalese/x.md", "old/legal/x.md", "Legal/nda.md"]),
        ("/legal/", ["legal/nda.md"], ["legalese"]),
        ("legal/nda.md", ["legal/nda.md"], ["legal/nda_md", "legal/nda.md.txt"]),
        ("*.pdf", ["a.pdf", "x/y/a.pdf"], ["a.pdfx", "a.pdf/b.md"]),
        ("legal/*", ["legal/a.md"], ["legal/a/b.md", "legal"]),
        ("legal/**", ["legal/a.md", "legal/a/b.md"], ["legal", "x/legal/a.md"]),
        ("**/2026/*.md", ["2026/a.md", "x/2026/a.md", "x/y/2026/a.md"], ["x2026/a.md", "2026/x/a.md"]),
        ("a/**/z.md", ["a/z.md", "a/b/z.md", "a/b/c/z.md"], ["az.md", "a/bz.md"]),
        ("report-20??.md", ["report-2026.md", "x/report-2019.md"], ["report-206.md", "report-20/6.md"]),
        ("a*b*c.md", ["abc.md", "axxbyyc.md", "abbc.md"], ["acb.md", "ab/c.md"]),
        ("[draft] (1).md", ["[draft] (1).md"], ["d.md", "[draft] (1)xmd"]),
        ("legal/*/", ["legal/a/b.md", "legal/a/b/c.md"], ["legal/a.md"]),
        ("страница/*", ["страница/один.md"], ["страницы/один.md"]),
    ],
)
def test_a_path_is_a_folder_or_a_pattern_as_in_gitignore(pattern: str, matches: list[str], others: list[str]) -> None:
    assert [path for path in matches if not finds(pattern, path)] == []
    assert [path for path in others if finds(pattern, path)] == []


def test_the_address_of_a_document_matches_too() -> None:
    pattern = paths_matching(["https://wiki.example.org/space", "none"])

    assert pattern.search("42\nhttps://wiki.example.org/space/page")
    assert not pattern.search("42\nhttps://wiki.example.org/spaces")


names = st.text("ab*?", min_size=1, max_size=6).filter(lambda name: "**" not in name)


@given(pattern=names, name=st.text("abc", min_size=1, max_size=8))
def test_within_one_part_a_pattern_matches_as_the_shell_matches(pattern: str, name: str) -> None:
    assert finds(pattern, name) == PurePosixPath(name).match(pattern)


def test_no_pattern_takes_long() -> None:
    """Wildcards that could be shared out in very many ways are tried in one: else this would not end."""
    path = "/".join(["a" * 50] * 30)
    for pattern in ("*a" * 200 + "b", "**/**/**/*b", "/".join(["**/*a*a*"] * 3) + "b"):
        assert not finds(pattern, path)


@pytest.mark.parametrize("pattern", ["", "/", "  ", "a\nb", "x" * 1_001, "**/a/**/b/**/c/**"])
def test_a_pattern_that_makes_no_sense_is_refused(pattern: str) -> None:
    with pytest.raises(WrongUsage):
        filters_of(paths=[pattern])


def test_types_go_by_their_names_and_by_their_media_types() -> None:
    assert media_types_of(" .PDF ") == media_types_of("application/pdf") == ("application/pdf",)
    assert "message/rfc822" in media_types_of("email")
    assert filters_of(types=["md", "markdown"]).media_types == ("text/markdown",)
    with pytest.raises(WrongUsage, match="there are pdf, docx"):
        media_types_of("spreadsheet")
    assert (type_name("application/pdf"), type_name("image/png")) == ("pdf", "image/png"), "one of several is none"


def test_everything_that_is_written_is_asked_for() -> None:
    words = {"sources": ["wiki", "mail"], "document_ids": ["a" * 32], "paths": ["legal", "*.pdf"], "labels": ["draft"]}
    others = {"types": ["pdf", "image/png"], "languages": ["de", "en"], "since": "2026-05-01", "until": "2026-05-02"}
    assert filters_of(**words, **others) == Filters(  # type: ignore[arg-type]
        **{name: tuple(values) for name, values in words.items()},
        media_types=("application/pdf", "image/png"),
        languages=("de", "en"),
        changed_from=datetime(2026, 5, 1, tzinfo=UTC),
        changed_before=datetime(2026, 5, 3, tzinfo=UTC),
    )


def test_a_day_is_whole_and_both_ends_are_included() -> None:
    filters = filters_of(since="2026-05-01 ", until=" 2026-05-31")
    assert filters.changed_from == datetime(2026, 5, 1, tzinfo=UTC)
    assert filters.changed_before == datetime(2026, 6, 1, tzinfo=UTC)
    moment = filters_of(since="2026-05-31T12:00:00+02:00", until="2026-05-31T10:00:00Z")
    assert moment.changed_from == datetime(2026, 5, 31, 10, tzinfo=UTC)
    assert moment.changed_before == datetime(2026, 5, 31, 10, 0, 0, 1, tzinfo=UTC)


def test_what_names_no_zone_is_in_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        filters = filters_of(since="2026-05-01", until="2026-05-31T12:00:00")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert filters.changed_from == datetime(2026, 5, 1, tzinfo=UTC)
    assert filters.changed_before == datetime(2026, 5, 31, 12, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("date", ["yesterday", "31.05.2026", "2026-13-01", "", "0001-01-01T00:00:00+14:00", "1e9"])
def test_what_is_no_date_is_refused_with_how_to_write_one(date: str) -> None:
    for one in ({"since": date}, {"until": date}):
        with pytest.raises(WrongUsage, match="2026-05-31"):
            filters_of(**one)  # type: ignore[arg-type]


def test_the_last_day_of_the_calendar_has_no_day_after() -> None:
    with pytest.raises(WrongUsage):
        filters_of(until="9999-12-31")
    with pytest.raises(WrongUsage, match="before the first"):
        filters_of(since="2026-05-02", until="2026-05-01")


def test_what_asks_nothing_is_no_filter_and_a_record_holds_no_moments() -> None:
    assert filters_of() == NO_FILTERS
    assert not NO_FILTERS
    for one in (
        *({name: ("x",)} for name in ("sources", "document_ids", "media_types", "languages", "paths", "labels")),
        {"changed_from": datetime(2026, 1, 1, tzinfo=UTC)},
        {"changed_before": datetime(2026, 1, 1, tzinfo=UTC)},
    ):
        assert Filters(**one), one  # type: ignore[arg-type]
    record = filters_of(since="2026-05-01", labels=["  The  Policy "], languages=[" DE-at "]).to_record()
    assert (record["changed_from"], record["labels"]) == ("2026-05-01T00:00:00+00:00", ("the policy",))
    assert record["languages"] == ("de",)


@pytest.mark.parametrize("name", ["sources", "document_ids", "languages", "paths", "labels"])
def test_more_values_than_anybody_writes_are_refused(name: str) -> None:
    with pytest.raises(WrongUsage, match=rf"At most 1,000 .*{name[:4]}.* 1,001"):
        filters_of(**{name: ["x"] * 1_001})  # type: ignore[arg-type]
    assert getattr(filters_of(**{name: ["x"] * 1_000}), name) == ("x",) * 1_000  # type: ignore[arg-type]


def test_more_types_than_anybody_writes_are_refused() -> None:
    with pytest.raises(WrongUsage, match=r"At most 1,000 .*type.* 1,001"):
        filters_of(types=["pdf"] * 1_001)
    assert filters_of(types=["pdf"] * 1_000).media_types == ("application/pdf",)
