"""Writes the documents of `organization/` that have another source: the series, and Word, PDF and web files.

    python examples/build.py [--to FOLDER] [--no-pdf]

A file in `sources/` is named after what it becomes: `sources/it/vpn.html.md` becomes `organization/it/vpn.html`.
The same sources give the same text every time. PDF needs reportlab, which only whoever changes the samples needs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from generated import documents
from rendering import RENDERERS

HERE = Path(__file__).parent
ORGANIZATION = HERE / "organization"


def rendered(formats: set[str]) -> Iterator[tuple[str, bytes]]:
    """Every file of `sources/` that becomes one of `formats`: its path in the organization, and its bytes."""
    for source in sorted((HERE / "sources").rglob("*.md")):
        target = source.relative_to(HERE / "sources").with_suffix("")
        if target.suffix in formats:
            yield target.as_posix(), RENDERERS[target.suffix](source.read_text(encoding="utf-8"))


def build(folder: Path, formats: set[str]) -> int:
    """Write the series, and the sources that become one of `formats`, below `folder`; the number of files written."""
    written = [*documents(), *rendered(formats)]
    for path, content in written:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return len(written)


def main() -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description="Write the sample organization's built documents.")
    parser.add_argument("--to", type=Path, default=ORGANIZATION, help="the folder to write into")
    parser.add_argument("--no-pdf", action="store_true", help="leave the PDF files as they are (they need reportlab)")
    arguments = parser.parse_args()
    formats = set(RENDERERS) - ({".pdf"} if arguments.no_pdf else set())
    print(f"{build(arguments.to, formats)} documents written to {arguments.to}")


if __name__ == "__main__":
    main()
