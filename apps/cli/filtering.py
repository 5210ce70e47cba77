"""The options that narrow a question to some documents."""

from __future__ import annotations

from typing import Annotated

import typer

from retrieval.filters import Filters, filters_of

_PANEL = "Only in documents"

Sources = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="NAME", help="Of this source; again for more.", rich_help_panel=_PANEL),
]
Paths = Annotated[
    list[str] | None,
    typer.Option(
        "--path", metavar="PATTERN", help="In this folder, or like `legal/**` or `*.pdf`.", rich_help_panel=_PANEL
    ),
]
Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type", metavar="TYPE", help="Such as pdf, docx, html, email, or a media type.", rich_help_panel=_PANEL
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Whose content came in on this ISO date or later.", rich_help_panel=_PANEL),
]
Until = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Whose content came in on this ISO date or earlier.", rich_help_panel=_PANEL),
]
Languages = Annotated[
    list[str] | None,
    typer.Option("--language", metavar="CODE", help="In this language, such as de.", rich_help_panel=_PANEL),
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", metavar="LABEL", help="With this label.", rich_help_panel=_PANEL)
]


def chosen(
    source: list[str] | None,
    path: list[str] | None,
    type_: list[str] | None,
    since: str | None,
    until: str | None,
    language: list[str] | None,
    label: list[str] | None,
) -> Filters:
    """What the options ask for; raises `WrongUsage` for what makes no sense."""
    return filters_of(
        sources=source or (),
        paths=path or (),
        types=type_ or (),
        since=since,
        until=until,
        languages=language or (),
        labels=label or (),
    )
