"""A parsed document to chunks that follow its structure and fit the embedder's window."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise

from core.documents import Block, BlockKind, Chunk, Parsed, embedding_text
from core.errors import WrongUsage
from ingest.cutting import head, pieces, units

CountTokens = Callable[[Sequence[str]], list[int]]

GOAL_TOKENS = 200
"""What the chunks of a section aim at that is too long for one chunk."""
TINY_TOKENS = 40
"""A section below this joins its neighbour."""
LEAST_ROOM_TOKENS = 16
"""What a title must leave of the window for the text under it."""

# A string without spaces may count as one unknown token however long it is, so characters count too; running text of
# any language has fewer of them to a token.
_CHARACTERS_PER_TOKEN = 8
_JOIN_TOKENS = 2
_Path = tuple[str, ...]


def chunk(parsed: Parsed, count_tokens: CountTokens, window: int) -> list[Chunk]:
    """Cut a document into chunks, in its order, numbered from 0.

    Together they hold every visible character of every block, and no two overlap. `embedding_text` of each stays
    within `window` tokens as `count_tokens` counts them. The same document always gives the same chunks.

    A section (a heading and what stands under it) is one chunk if it fits, else several of about `GOAL_TOKENS`, parted
    between blocks, sentences, rows or lines of code; a section of fewer than `TINY_TOKENS` joins its neighbour. A
    chunk that begins below a table's first row carries that row as `header`. No chunk goes on over the end of a page,
    but for headings right above what follows there, so that its text stands on its `page`. Heading paths that would
    fill the window lose their outermost headings first.

    Raises `WrongUsage` if the title alone leaves fewer than `LEAST_ROOM_TOKENS` of the window.
    """
    if not parsed.blocks:
        return []
    special, title = count_tokens(["", parsed.title])
    if window - title < LEAST_ROOM_TOKENS:
        raise WrongUsage(f"The title takes {title} of {window} tokens; shorten it, so that text fits under it.")
    document = _Document(parsed, count_tokens, special, title, window - title)
    groups = _merged(_sections(document), document.room)
    chunks = _fitting([document.draft(run) for group in groups for run in _packed(group, document)], document, window)
    return [replace(piece, ordinal=ordinal) for ordinal, piece in enumerate(chunks)]


@dataclass(frozen=True)
class _Atom:
    """A run of text kept whole where it fits: a heading, a sentence, a row, a line of code."""

    start: int
    end: int
    block: int
    tokens: int = 0


@dataclass(frozen=True)
class _Draft:
    """A chunk and the most tokens that it can take with all that stands above it, None if only counting can tell."""

    chunk: Chunk
    most_tokens: int | None


@dataclass(frozen=True)
class _Document:
    """A parsed document with its token counts: `title` tokens with the special ones, `room` what is left for text."""

    parsed: Parsed
    count_tokens: CountTokens
    special: int
    title: int
    room: int

    @cached_property
    def paths(self) -> list[_Path]:
        """For each block the headings above it, from the outermost in, its own if it is one."""
        paths: list[_Path] = []
        open_headings: list[tuple[int, str]] = []
        for block in self.parsed.blocks:
            if block.kind is BlockKind.HEADING:
                level = block.level or 1
                open_headings = [(outer, text) for outer, text in open_headings if outer < level]
                open_headings.append((level, " ".join(self.text(block).split())))
            paths.append(tuple(text for _, text in open_headings))
        return paths

    @cached_property
    def heading_tokens(self) -> dict[str, int]:
        """What each heading takes in a path, its separator included."""
        headings = sorted({heading for path in self.paths for heading in path})
        return {heading: tokens + 1 for heading, tokens in zip(headings, self.counted(headings), strict=True)}

    @cached_property
    def headers(self) -> dict[int, tuple[str, int, int]]:
        """For each table with more than one row: its first row cut to a quarter of the room, its tokens, its end."""
        tables = [
            (number, block.start, self.text(block).find("\n"))
            for number, block in enumerate(self.parsed.blocks)
            if block.kind is BlockKind.TABLE and "\n" in self.text(block)
        ]
        rows = [self.parsed.text[start : start + length] for _, start, length in tables]
        headers = {}
        for (number, start, length), row, tokens in zip(tables, rows, self.counted(rows), strict=True):
            headers[number] = (head(row, tokens, self.room // 4), min(tokens, self.room // 4), start + length)
        return headers

    def text(self, span: Block | _Atom) -> str:
        return self.parsed.text[span.start : span.end]

    def counted(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, special tokens left out, and never fewer than its length asks for."""
        counts = self.count_tokens(texts) if texts else []
        return [
            max(count - self.special, -(-len(text) // _CHARACTERS_PER_TOKEN))
            for text, count in zip(texts, counts, strict=True)
        ]

    def shortened(self, path: _Path) -> _Path:
        """As many inner headings of `path` as a third of the room holds, the innermost cut if it alone is longer."""
        left = self.room // 3
        kept: list[str] = []
        for heading in reversed(path):
            tokens = self.heading_tokens[heading]
            if tokens > left:
                kept += [] if kept else [head(heading, tokens, left)]
                break
            kept.append(heading)
            left -= tokens
        return tuple(reversed(kept))

    def path_tokens(self, path: _Path) -> int:
        return min(self.room // 3, sum(self.heading_tokens[heading] for heading in path))

    def limit(self, block: int) -> int:
        """The most tokens that one atom of a block may take, below its headings and its table's header."""
        _, header, _ = self.headers.get(block, ("", 0, 0))
        return max(1, self.room - self.path_tokens(self.paths[block]) - header)

    def chunk(self, start: int, end: int) -> Chunk:
        """The chunk of a span: the headings that its blocks share, its page, the header of the table it continues."""
        blocks = self.parsed.blocks
        first = bisect_right(blocks, start, key=lambda block: block.start) - 1
        last = bisect_right(blocks, end - 1, key=lambda block: block.start)
        numbers = range(first, last)
        bodies = [number for number in numbers if blocks[number].kind is not BlockKind.HEADING]
        path = _shared([self.paths[number] for number in bodies or [*numbers][-1:]])
        header, _, below = self.headers.get(first, ("", 0, end))
        page = blocks[bodies[0] if bodies else first].page
        return Chunk(0, start, end, self.shortened(path), page, header if start > below else "")

    def draft(self, run: Sequence[_Atom]) -> _Draft:
        """The chunk of consecutive atoms.

        Tokenizers part words at white space first, so the tokens of a text are at most those of its pieces, one for
        each character of white space between them, and `_JOIN_TOKENS` where a word's place in the line matters. Where
        a cut went through a word nothing of the kind holds.
        """
        piece = self.chunk(run[0].start, run[-1].end)
        whole_words = all(after.start > before.end for before, after in pairwise(run))
        header, header_tokens, header_end = self.headers.get(run[0].block, ("", 0, 0))
        if piece.header and header_end - self.parsed.blocks[run[0].block].start > len(header):
            whole_words = False
        if not whole_words or not all(heading in self.heading_tokens for heading in piece.heading):
            return _Draft(piece, None)
        between = piece.end - piece.start - sum(atom.end - atom.start for atom in run)
        above = sum(self.heading_tokens[heading] + _JOIN_TOKENS for heading in piece.heading)
        above += header_tokens + _JOIN_TOKENS if piece.header else 0
        return _Draft(piece, self.title + above + between + sum(atom.tokens + _JOIN_TOKENS for atom in run))


@dataclass(frozen=True)
class _Section:
    """Atoms on one page under one heading, or of several sections in a row.

    `level` is 0 above the first heading and at the top of a page that begins below one.
    """

    atoms: tuple[_Atom, ...]
    page: int | None
    level: int
    innermost: int
    tokens: int
    has_body: bool


def _sections(document: _Document) -> Iterator[_Section]:
    """Each heading with what follows it up to the next heading or the end of the page."""
    blocks = document.parsed.blocks
    starts = [number for number, block in enumerate(blocks) if block.kind is BlockKind.HEADING]
    for _, run in groupby(_atoms(document), key=lambda one: (bisect_right(starts, one.block), blocks[one.block].page)):
        atoms = tuple(run)
        first = blocks[atoms[0].block]
        level = (first.level or 1) if first.kind is BlockKind.HEADING else 0
        body = any(blocks[atom.block].kind is not BlockKind.HEADING for atom in atoms)
        yield _Section(atoms, first.page, level, level, sum(atom.tokens for atom in atoms), body)


def _merged(sections: Iterable[_Section], room: int) -> list[_Section]:
    """Join tiny sections to the one before, and a heading with no text of its own to what stands under it."""
    merged: list[_Section] = []
    for section in sections:
        before = merged[-1] if merged else None
        if before is not None and _belong(before, section, room):
            merged[-1] = _Section(
                before.atoms + section.atoms,
                section.page,
                before.level,
                section.level,
                before.tokens + section.tokens,
                before.has_body or section.has_body,
            )
        else:
            merged.append(section)
    return merged


def _belong(before: _Section, section: _Section, room: int) -> bool:
    if not before.has_body and (section.level > before.innermost or section.page != before.page):
        return True
    if section.page != before.page:
        return False
    tiny = min(before.tokens, section.tokens) < TINY_TOKENS
    return tiny and section.level >= before.level and before.tokens + section.tokens <= min(GOAL_TOKENS, room * 2 // 3)


def _packed(section: _Section, document: _Document) -> Iterator[list[_Atom]]:
    """Runs of atoms of about equal size, each within the room that headings and a table's header leave."""
    room = document.room - max(document.path_tokens(document.paths[atom.block]) for atom in section.atoms)
    if section.tokens <= room:
        yield list(section.atoms)
        return
    most = max(1, min(GOAL_TOKENS, room))
    left = section.tokens
    goal = left / -(-left // most)
    run: list[_Atom] = []
    taken = 0
    for atom in section.atoms:
        if run and (taken + atom.tokens > room or _is_full(run[-1], atom, taken, goal, document)):
            yield run
            run = []
            # What is left is shared out anew, so that no short end remains.
            goal = left / -(-left // most)
            header = document.headers.get(atom.block)
            taken = header[1] if header and atom.start > header[2] else 0
        run.append(atom)
        taken += atom.tokens
        left -= atom.tokens
    yield run


def _is_full(last: _Atom, coming: _Atom, taken: int, goal: float, document: _Document) -> bool:
    """Whether a run ends here: near its goal, sooner between blocks than within one, never right under a heading."""
    if document.parsed.blocks[last.block].kind is BlockKind.HEADING:
        return False
    return taken >= 0.8 * goal if last.block != coming.block else taken + coming.tokens / 2 > goal


def _atoms(document: _Document) -> list[_Atom]:
    """All atoms in order, counted; one too long for any chunk is cut, between words where it has any."""
    atoms = [
        _Atom(block.start + start, block.start + end, number)
        for number, block in enumerate(document.parsed.blocks)
        for start, end in units(block.kind, document.text(block))
    ]
    while True:
        tokens = document.counted([document.text(atom) for atom in atoms])
        atoms = [replace(atom, tokens=count) for atom, count in zip(atoms, tokens, strict=True)]
        limits = {block: document.limit(block) for block in {atom.block for atom in atoms}}
        if all(atom.tokens <= limits[atom.block] or atom.end - atom.start == 1 for atom in atoms):
            return atoms
        atoms = [piece for atom in atoms for piece in _pieces(document.parsed.text, atom, limits[atom.block])]


def _pieces(text: str, atom: _Atom, limit: int) -> Iterator[_Atom]:
    """`atom` itself if it keeps to `limit`, else pieces that should, by its average length of a token."""
    length = atom.end - atom.start
    if atom.tokens <= limit or length == 1:
        yield atom
        return
    size = max(1, min(length - 1, length * limit // atom.tokens))
    yield from (_Atom(start, end, atom.block) for start, end in pieces(text, atom.start, atom.end, size))


def _fitting(drafts: Sequence[_Draft], document: _Document, window: int) -> list[Chunk]:
    """The chunks in order, those over the window made smaller; what may be over is counted as it will be embedded."""
    text, title = document.parsed.text, document.parsed.title
    fitting: dict[int, Chunk] = {}
    doubtful: list[Chunk] = []
    for draft in drafts:
        if draft.most_tokens is not None and draft.most_tokens <= window:
            fitting[draft.chunk.start] = draft.chunk
        else:
            doubtful.append(draft.chunk)
    while doubtful:
        counts = document.count_tokens([embedding_text(title, piece, text) for piece in doubtful])
        judged = list(zip(doubtful, counts, strict=True))
        fitting.update((piece.start, piece) for piece, count in judged if count <= window)
        doubtful = [part for piece, count in judged if count > window for part in _smaller(piece, document)]
    return [fitting[start] for start in sorted(fitting)]


def _smaller(piece: Chunk, document: _Document) -> Iterator[Chunk]:
    """Halve a span; one too short to blame loses its header, then its outermost heading."""
    if piece.end - piece.start > LEAST_ROOM_TOKENS or not (piece.header or piece.heading):
        text = document.parsed.text
        half = (piece.end - piece.start + 1) // 2
        yield from (document.chunk(start, end) for start, end in pieces(text, piece.start, piece.end, half))
    elif piece.header:
        yield replace(piece, header="")
    else:
        yield replace(piece, heading=piece.heading[1:])


def _shared(paths: Sequence[_Path]) -> _Path:
    """The outer headings that all paths have in common."""
    shared = paths[0]
    for path in paths[1:]:
        common = 0
        while common < min(len(shared), len(path)) and shared[common] == path[common]:
            common += 1
        shared = shared[:common]
    return shared
