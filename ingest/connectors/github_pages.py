"""Issues, pull requests and releases as HTML; what people wrote in Markdown stays below the headings that are ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from selectolax.lexbor import LexborHTMLParser

_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f]+")
_NAME_CHARACTERS = 120
_OURS = 2
"""The levels of headings that are ours: the title, and who wrote what when."""

Facts = Mapping[str, Any]


def file_name(words: str) -> str:
    """A name ending in .html."""
    words = " ".join(_NOT_IN_NAMES.sub(" ", words).split())
    return f"{words[:_NAME_CHARACTERS].strip('. ') or 'untitled'}.html"


def issue_page(repository: str, issue: Facts, comments: Sequence[Facts]) -> bytes:
    """An issue or a pull request, and its comments and reviews in the order they were written."""
    title = f"{repository}#{issue['number']}: {issue.get('title') or ''}"
    kind = "Pull request" if issue.get("pull_request") else "Issue"
    labels = ", ".join(str(label.get("name")) for label in issue.get("labels") or () if isinstance(label, dict))
    facts = [
        f"{kind}, {_state(issue)}, by {_author(issue)}, {_when(issue.get('created_at'))}",
        f"Labels: {labels}" if labels else "",
        f"Milestone: {issue['milestone'].get('title')}" if issue.get("milestone") else "",
    ]
    parts = [f"<p>{escape(fact)}</p>" for fact in facts if fact]
    parts.append(_html(issue.get("body")))
    for comment in sorted(comments, key=lambda one: str(one.get("created_at") or one.get("submitted_at") or "")):
        parts.append(_comment(comment))
    return _page(title, parts)


def release_page(repository: str, release: Facts) -> bytes:
    """A release and its notes."""
    tag = str(release.get("tag_name") or "")
    kind = "Pre-release" if release.get("prerelease") else "Release"
    facts = f"{kind} {tag} by {_author(release)}, {_when(release.get('published_at') or release.get('created_at'))}"
    title = f"{repository}: {release.get('name') or tag}"
    return _page(title, [f"<p>{escape(facts)}</p>", _html(release.get("body"))])


def _page(title: str, parts: Sequence[str]) -> bytes:
    heading = escape(title)
    body = "\n".join(filter(None, parts))
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{heading}</title></head>\n'
        f"<body><h1>{heading}</h1>\n{body}\n</body></html>\n"
    ).encode()


def _comment(comment: Facts) -> str:
    """A comment, a review (which has a verdict) or a comment of a review (which stands at a line of a file)."""
    verdict = str(comment.get("state") or "").replace("_", " ").lower()
    place = str(comment.get("path") or "")
    line = comment.get("line") or comment.get("original_line")
    head = f"{_author(comment)}, {_when(comment.get('created_at') or comment.get('submitted_at'))}"
    head += f": {verdict}" if verdict else ""
    head += f", on {place}{f', line {line}' if line else ''}" if place else ""
    return f"<h2>{escape(head)}</h2>\n{_html(comment.get('body'))}"


def _state(issue: Facts) -> str:
    if (issue.get("pull_request") or {}).get("merged_at"):
        return "merged"
    reason = str(issue.get("state_reason") or "").replace("_", " ")
    return f"{issue.get('state')} ({reason})" if issue.get("state") == "closed" and reason else str(issue.get("state"))


def _author(facts: Facts) -> str:
    # Whoever has deleted their account is shown as "ghost".
    return str((facts.get("user") or facts.get("author") or {}).get("login") or "ghost")


def _when(text: object) -> str:
    """A time as GitHub writes it, `2026-01-06T10:15:00Z`."""
    return f"{str(text)[:10]} {str(text)[11:16]} UTC" if text else "at an unknown time"


def _html(body: object) -> str:
    text = str(body or "").replace("\r\n", "\n")
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + _OURS)}"
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})).strip()


def _shown(_renderer: RendererHTML, tokens: Sequence[Token], index: int, *_: object) -> str:
    """What a reader sees of HTML in Markdown: its words, and nothing of its tags and comments."""
    content = tokens[index].content
    root = LexborHTMLParser(content).body
    words = root.text(separator=" ").strip() if root is not None else ""
    return f"<p>{escape(words)}</p>\n" if words and tokens[index].type == "html_block" else escape(words)


_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_MARKDOWN.add_render_rule("html_block", _shown)
_MARKDOWN.add_render_rule("html_inline", _shown)
