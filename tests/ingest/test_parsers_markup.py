"""AsciiDoc, Org, reStructuredText and LaTeX: what a reader of the printed document sees, by its structure."""

from __future__ import annotations

import io
import re
import time
from collections import Counter
from collections.abc import Callable

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import given
from hypothesis import strategies as st
from linked import links

from core.documents import BlockKind, Parsed, clean_text
from core.errors import UnreadableDocument
from ingest.parsing.asciidoc import parse_asciidoc
from ingest.parsing.latex import parse_latex
from ingest.parsing.org import parse_org
from ingest.parsing.rst import parse_rst

HEADING, PARAGRAPH, ITEM = BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.LIST_ITEM
TABLE, CODE = BlockKind.TABLE, BlockKind.CODE
Parser = Callable[[bytes], Parsed]


def texts(parsed: Parsed) -> list[tuple[BlockKind, str]]:
    return [(block.kind, parsed.text[block.start : block.end]) for block in parsed.blocks]


def levels(parsed: Parsed) -> list[int | None]:
    return [block.level for block in parsed.blocks if block.kind is HEADING]


ASCIIDOC = r"""= Leave policy
Ana Berg <ana@example.org>
v1.2, 2026-03-02
:company: Tarnbeck
:toc:

// a comment
Everyone at {company} has *20 days* of _paid_ leave; see `hr.yaml` and <<sick,Sick leave>>.
It is
wrapped. https://example.org/leave[The rules^] hold.

////
a longer comment
////

[[sick]]
== Sick leave

NOTE: Tell your manager.

* Ask *early*
** in writing
. First
. Second
+
with more

Term:: What it means

include::secret.adoc[]

ifdef::internal[]
Shown.
endif::[]

.Days by kind
[cols="1,2", options="header"]
|===
|Kind |Days

|Paid
|20 `days`

2+|none left
|===

[source,python]
----
def days():
    return 20  # <1>
----
<1> All of them

=== Deeper ===

image::chart.png[A chart of leave]

Old title
~~~~~~~~~

,===
a,"b, c"
,===
"""


def test_asciidoc_becomes_text_without_marks() -> None:
    parsed = parse_asciidoc(ASCIIDOC.encode())
    assert parsed.title == "Leave policy"
    assert texts(parsed) == [
        (HEADING, "Leave policy"),
        (PARAGRAPH, "Ana Berg <ana@example.org> v1.2, 2026-03-02"),
        (
            PARAGRAPH,
            "Everyone at Tarnbeck has 20 days of paid leave; see hr.yaml and Sick leave. It is wrapped. "
            "The rules hold.",
        ),
        (HEADING, "Sick leave"),
        (PARAGRAPH, "NOTE: Tell your manager."),
        (ITEM, "Ask early"),
        (ITEM, "in writing"),
        (ITEM, "1. First"),
        (ITEM, "2. Second with more"),
        (ITEM, "Term: What it means"),
        (PARAGRAPH, "Shown."),
        (PARAGRAPH, "Days by kind"),
        (TABLE, "Kind | Days\nPaid | 20 days\nnone left |"),
        (CODE, "def days():\n    return 20  # <1>"),
        (ITEM, "<1> All of them"),
        (HEADING, "Deeper"),
        (PARAGRAPH, "A chart of leave"),
        (HEADING, "Old title"),
        (TABLE, "a | b, c"),
    ]
    assert levels(parsed) == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("|a |b\n|c |d", "a | b\nc | d"),
        ("|a |b\n\n|c\n|d", "a | b\nc | d"),
        ("|a|b|\n|c||", "a | b | \nc |  |"),
        ("|a \\| b |c", "a | b | c"),
        ("^.^h|a ^h| b\n| s | h", "a | b\ns | h"),
        ("|a\n goes on\n|b", "a goes on\nb"),
    ],
)
def test_a_table_of_asciidoc_has_its_rows_however_they_are_written(table: str, rows: str) -> None:
    assert parse_asciidoc(f"|===\n{table}\n|===\n".encode()).text == rows.strip()


def test_rows_that_nothing_delimits_are_a_table_of_asciidoc() -> None:
    parsed = parse_asciidoc(b"Before.\n\n|Plan|Days|\n|---|---|\n|Basic|20|\n\nAfter | all.\n\n|alone|\n")
    assert [parsed.text[block.start : block.end] for block in parsed.blocks] == [
        "Before.",
        "Plan | Days\nBasic | 20",
        "After | all.",
        "|alone|",
    ]
    assert [block.kind.value for block in parsed.blocks] == ["paragraph", "table", "paragraph", "paragraph"]


ORG = r"""#+TITLE: Leave policy
#+OPTIONS: toc:nil
# a comment
* TODO [#A] Leave                                            :hr:people:
:PROPERTIES:
:ID: 4711
:END:
Everyone has *20 days* of /paid/ leave; see =hr.yaml= and [[https://example.org][the rules]].
It is
wrapped.[fn:1] Not 5*6 nor a/b.

- Ask *early*
  - [ ] in writing
1. First
2) Second
- term :: what it means
** Sick leave
#+CAPTION: Days by kind
| Kind | Days |
|------+------|
| Paid |   20 |
#+TBLFM: $2=1
#+BEGIN_SRC python
  def days():
      return 20
#+END_SRC
#+BEGIN_QUOTE
Quoted.
#+END_QUOTE
#+INCLUDE: "secret.org"
: fixed
:   width
#+BEGIN_COMMENT
not this
#+END_COMMENT
* COMMENT Not to be seen
hidden words
** hidden too
* Seen again
[fn:1] A footnote. <2026-03-02 Mon>
"""


def test_org_becomes_text_without_marks() -> None:
    parsed = parse_org(ORG.encode())
    assert parsed.title == "Leave policy"
    assert texts(parsed) == [
        (HEADING, "Leave policy"),
        (HEADING, "Leave"),
        (
            PARAGRAPH,
            "Everyone has 20 days of paid leave; see hr.yaml and the rules. It is wrapped. Not 5*6 nor a/b.",
        ),
        (ITEM, "Ask early"),
        (ITEM, "in writing"),
        (ITEM, "1. First"),
        (ITEM, "2. Second"),
        (ITEM, "term: what it means"),
        (HEADING, "Sick leave"),
        (PARAGRAPH, "Days by kind"),
        (TABLE, "Kind | Days\nPaid | 20"),
        (CODE, "def days():\n    return 20"),
        (PARAGRAPH, "Quoted."),
        (CODE, "fixed\n  width"),
        (HEADING, "Seen again"),
        (PARAGRAPH, "1 A footnote. 2026-03-02 Mon"),
    ]
    assert levels(parsed) == [1, 1, 2, 1]


RST = r"""
============
Leave policy
============

:Author: Ana

.. a comment
   of two lines

Everyone has **20 days** of *paid* leave; see ``hr.yaml``, :ref:`Sick leave <sick>` and `the rules
<https://example.org>`_. |company| says so\ [1]_.

.. |company| replace:: Tarnbeck
.. _sick:

Sick leave
----------

.. note:: Tell your manager
   at once.

.. warning::

   Never late.

- Ask *early*

  - in writing
1. First
2. Second
   wrapped

term
    what it means

Run this::

    def days():
        return 20

.. code-block:: python
   :linenos:

   days()

.. include:: secret.rst
.. raw:: html

   <b>raw</b>

.. [1] A footnote.

Deeper
''''''

+------+--------------+
| Kind | Days         |
+======+==============+
| Paid | 20           |
|      | at least     |
+------+--------------+
| none left           |
+---------------------+

====  ====
Kind  Days
====  ====
Sick  10
      more
====  ====

.. list-table:: Rates
   :header-rows: 1

   * - City
     - Rate
   * - Rome
     - 90
       euro

.. csv-table:: Codes
   :header: "a", "b"

   1, "2, 3"

.. image:: chart.png
   :alt: A chart

>>> 1 + 1
2

.. versionadded:: 3.1
   The flag.
"""


def test_restructuredtext_becomes_text_without_marks() -> None:
    parsed = parse_rst(RST.encode())
    assert parsed.title == "Leave policy"
    assert texts(parsed) == [
        (HEADING, "Leave policy"),
        (ITEM, "Author: Ana"),
        (
            PARAGRAPH,
            "Everyone has 20 days of paid leave; see hr.yaml, Sick leave and the rules. Tarnbeck says so[1].",
        ),
        (HEADING, "Sick leave"),
        (PARAGRAPH, "Note: Tell your manager at once."),
        (PARAGRAPH, "Warning:"),
        (PARAGRAPH, "Never late."),
        (ITEM, "Ask early"),
        (ITEM, "in writing"),
        (ITEM, "1. First"),
        (ITEM, "2. Second wrapped"),
        (ITEM, "term: what it means"),
        (PARAGRAPH, "Run this:"),
        (CODE, "def days():\n    return 20"),
        (CODE, "days()"),
        (PARAGRAPH, "1 A footnote."),
        (HEADING, "Deeper"),
        (TABLE, "Kind | Days\nPaid | 20 at least\nnone left |"),
        (TABLE, "Kind | Days\nSick | 10 more"),
        (PARAGRAPH, "Rates"),
        (TABLE, "City | Rate\nRome | 90 euro"),
        (PARAGRAPH, "Codes"),
        (TABLE, "a | b\n1 | 2, 3"),
        (PARAGRAPH, "A chart"),
        (CODE, ">>> 1 + 1\n2"),
        (PARAGRAPH, "New in version 3.1: The flag."),
    ]
    assert levels(parsed) == [1, 2, 3]


LATEX = r"""\documentclass[a4paper]{article}
\usepackage[utf8]{inputenc} % a comment
\newcommand{\company}{Tarnbeck}
\newcommand{\wide}[2]{hidden #1}
\title{Leave \emph{policy}}
\author{Ana Berg\thanks{HR}}
\begin{document}
\maketitle
\begin{abstract}
What holds.
\end{abstract}
\section{Paid leave}\label{sec:paid}
Everyone at \company{} has \textbf{20 days} of ``paid'' leave~--- see
\texttt{hr.yaml}, \href{https://example.org}{the rules} and Section~\ref{sec:sick}~\cite{x}.\footnote{Since 2020.}
50\% of $x^2 + \alpha$ caf\'e, \"Ubung, gar\c{c}on, stra\ss e.

% nothing here
New paragraph.
\begin{itemize}
\item Ask \emph{early}
  \begin{enumerate}
  \item in writing
  \item twice
  \end{enumerate}
\item[Note] at once
\end{itemize}
\begin{table}[h]
\caption{Days by kind}
\begin{tabular}{|l|r|}
\hline
Kind & Days \\ \hline
Paid & 20 \\
\multicolumn{2}{c}{none left} \\
\end{tabular}
\end{table}
\begin{comment}
not this
\end{comment}
\subsection*{Sick leave}
\begin{verbatim}
def days(): % kept
    return 20
\end{verbatim}
\begin{equation} E = mc^2 \end{equation}
\verb|x_1| \includegraphics[width=3cm]{chart.png}\input{secret}
\end{document}
never this
"""


def test_latex_becomes_the_text_that_is_printed() -> None:
    parsed = parse_latex(LATEX.encode())
    assert parsed.title == "Leave policy"
    assert texts(parsed) == [
        (HEADING, "Leave policy"),
        (PARAGRAPH, "Ana Berg (HR)"),
        (HEADING, "Abstract"),
        (PARAGRAPH, "What holds."),
        (HEADING, "Paid leave"),
        (
            PARAGRAPH,
            "Everyone at Tarnbeck has 20 days of “paid” leave — see hr.yaml, the rules and Section . (Since 2020.) "
            "50% of x^2 + α café, Übung, garçon, straße.",
        ),
        (PARAGRAPH, "New paragraph."),
        (ITEM, "Ask early"),
        (ITEM, "1. in writing"),
        (ITEM, "2. twice"),
        (ITEM, "Note: at once"),
        (PARAGRAPH, "Days by kind"),
        (TABLE, "Kind | Days\nPaid | 20\nnone left"),
        (HEADING, "Sick leave"),
        (CODE, "def days(): % kept\n    return 20"),
        (PARAGRAPH, "E = mc^2 x_1"),
    ]
    assert levels(parsed) == [1, 2, 2, 3]


def test_restructuredtext_keeps_what_a_link_shows_and_where_it_leads() -> None:
    text = """`Home <index.html>`_
====================

See `the *old*
rules <https://example.org/
old>`_, policy_, `Sick  leave`_ and `again <policy_>`__, :doc:`carrying over </hr/carry>`,
:doc:`../travel` and :download:`the form <form.pdf>`.

Not :ref:`this <sick>`, ``policy_`` nor unknown_, `nowhere`_ or `here <#below>`_.

- an `item <item.rst>`_

======  =======
place   indirect_
======  =======
x       y
======  =======

.. _policy: ../policy.html
.. _`Sick leave`:
   https://example.org/sick
.. _indirect: policy_
.. _below:
"""
    parsed = parse_rst(text.encode())
    assert links(parsed) == [
        ("Home", "index.html"),
        ("the old rules", "https://example.org/old"),
        ("policy", "../policy.html"),
        ("Sick leave", "https://example.org/sick"),
        ("again", "../policy.html"),
        ("carrying over", "/hr/carry"),
        ("../travel", "../travel"),
        ("the form", "form.pdf"),
        ("item", "item.rst"),
        ("indirect", "../policy.html"),
    ]


def test_asciidoc_keeps_what_a_link_shows_and_where_it_leads() -> None:
    text = """:docs: https://example.org/docs

== The link:index.html[*home*]

See xref:hr/sick.adoc#pay[sick
pay], <<travel.adoc#,Travel>>, {docs}/leave[The rules^], link:https://example.org/a[A], xref:b.adoc[] and <<c.adoc>>.

Not xref:local[this], <<sick,nor this>>, mailto:a@example.org[nor] kbd:[F1] or https://example.org/plain.

* an https://example.org/item[item,window=_blank]

|===
|link:f1.adoc[F1] |leave
|===
"""
    assert links(parse_asciidoc(text.encode())) == [
        ("home", "index.html"),
        ("sick pay", "hr/sick.adoc#pay"),
        ("Travel", "travel.adoc#"),
        ("The rules", "https://example.org/docs/leave"),
        ("A", "https://example.org/a"),
        ("b.adoc", "b.adoc"),
        ("c.adoc", "c.adoc"),
        ("item", "https://example.org/item"),
        ("F1", "f1.adoc"),
    ]


def test_org_keeps_what_a_link_shows_and_where_it_leads() -> None:
    text = """* The [[file:index.org][/home/]]
See [[./leave.org::*Sick][sick
leave]], [[https://example.org][the rules]], [[file:a.org]] and [[https://example.org/b]].

Not [[A heading]], [[*Another][nor this]], [[#custom][nor]], [[id:4711][nor]] or [[mailto:a@example.org][nor]].

- an [[/abs/item.org][item]]
| [[../f1.org][F1]] | leave |
"""
    assert links(parse_org(text.encode())) == [
        ("home", "index.org"),
        ("sick leave", "./leave.org"),
        ("the rules", "https://example.org"),
        ("a.org", "a.org"),
        ("https://example.org/b", "https://example.org/b"),
        ("item", "/abs/item.org"),
        ("F1", "../f1.org"),
    ]


def test_latex_keeps_what_a_link_shows_and_where_it_leads() -> None:
    text = r"""\section{The \href{index.html}{home}}
See \href{https://example.org/a\_b\#c}{the \emph{old} rules}\footnote{And \href{note.html}{a note}.},
\hyperref[sick]{not this}, \href{mailto:a@example.org}{nor this}.
\begin{itemize}
\item an \href{item.pdf}{item}
\end{itemize}
\begin{tabular}{ll}
\href{f1.tex}{F1} & leave \\
\end{tabular}
"""
    assert links(parse_latex(text.encode())) == [
        ("home", "index.html"),
        ("the old rules", "https://example.org/a_b#c"),
        ("a note", "note.html"),
        ("item", "item.pdf"),
        ("F1", "f1.tex"),
    ]


_WORD = re.compile(r"\w+")
_names = st.text("abcdefghij", min_size=3, max_size=8)
_sentences = st.lists(_names, min_size=2, max_size=12).map(" ".join)
_blocks = st.one_of(
    _sentences,
    st.lists(_sentences, min_size=1, max_size=4).map(lambda items: "\n".join(f"- {item}" for item in items)),
    st.lists(_sentences, min_size=1, max_size=4).map(lambda items: "\n".join(f"#. {item}" for item in items)),
    _sentences.map(lambda text: f"{text}::\n\n    {text}\n      {text}"),
    _sentences.map(lambda text: f".. note:: {text}\n\n   {text}"),
    _sentences.map(lambda text: f".. {text}\n   {text}"),
    _sentences.map(lambda text: f"{text}\n    {text} *{text}* ``{text}``"),
    st.tuples(_names, _sentences).map(lambda pair: f".. code:: {pair[0]}\n\n   {pair[1]}"),
    st.tuples(_names, _names).map(
        lambda pair: (
            f"{'=' * 9}  {'=' * 9}\n{pair[0]:9}  {pair[1]:9}\n{'=' * 9}  {'=' * 9}\nx          y\n{'=' * 9}  {'=' * 9}"
        )
    ),
    st.tuples(_names, st.sampled_from("=-~^")).map(lambda pair: f"{pair[0]}\n{pair[1] * len(pair[0])}"),
)


@given(st.lists(_blocks, min_size=1, max_size=12).map("\n\n".join))
def test_restructuredtext_has_the_words_that_docutils_finds(source: str) -> None:
    settings = {"report_level": 5, "halt_level": 6, "file_insertion_enabled": False, "warning_stream": io.StringIO()}
    tree = publish_doctree(source, settings_overrides=settings)
    if [*tree.findall(nodes.problematic), *tree.findall(nodes.system_message)]:
        return  # what docutils takes for a mistake has no right answer
    for left_out in [*tree.findall(nodes.comment)]:
        left_out.parent.remove(left_out)
    try:
        ours = parse_rst(source.encode()).text
    except UnreadableDocument:
        ours = ""
    words = Counter(word for word in _WORD.findall(ours) if not word.isdigit() and word != "Note")
    assert words == Counter(_WORD.findall(tree.astext()))


PARSERS: list[Parser] = [parse_asciidoc, parse_org, parse_rst, parse_latex]


@pytest.mark.parametrize("parse", PARSERS)
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(str.encode),
        st.text("=-+|*._:`#[]{}\\%$&~^<>/!, \nab1", max_size=300).map(str.encode),
    )
)
def test_any_bytes_give_clean_text_with_blocks_in_order_or_are_empty(parse: Parser, data: bytes) -> None:
    try:
        parsed = parse(data)
    except UnreadableDocument as failure:
        assert failure.verdict == "empty"
        return
    assert parsed.text == clean_text(parsed.text)
    edges = [edge for block in parsed.blocks for edge in (block.start, block.end)]
    assert edges == sorted(edges) and edges[-1] <= len(parsed.text)
    assert all(parsed.text[block.start : block.end].strip() for block in parsed.blocks)


LONG = 60_000
HOSTILE = {
    "one line": b"word " * LONG,
    "marks": b"*" * LONG + b"\n" + b"_*`" * LONG,
    "brackets": b"[[" * LONG + b"\n" + b"{" * LONG,
    "deeper and deeper": b"\n".join(b" " * depth + b"- x" for depth in range(600)),
    "directives in directives": b"\n\n".join(b" " * depth + b".. note::" for depth in range(600)),
    "bars": (b"|===\n" + b"|" * LONG + b"\n") * 2,
    "grid": b"+--" * 5_000 + b"+\n" + (b"|  " * 5_000 + b"|\n") * 40,
    "never closed": b"----\n#+BEGIN_SRC\n" + b"x\n" * LONG,
    "terms": b"a::" * LONG,
    "links": b"<<" * LONG + b"`a <" * LONG + b"http://" * LONG,
    "commands": b"\\a" * LONG + b"\\begin{itemize}" * LONG,
    "groups": b"\\textbf{" * LONG,
    "links in links": b"\\href{a}{x " * 20_000 + b"}" * 20_000 + b"\\href{" * LONG,
    "math": b"$" * LONG + b"\\[" * LONG,
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("parse", PARSERS)
def test_no_input_takes_more_than_its_length_is_worth(parse: Parser, kind: str) -> None:
    began = time.process_time()
    try:
        parse(HOSTILE[kind])
    except UnreadableDocument:
        pass
    assert time.process_time() - began < 5.0


def test_nothing_is_included_from_elsewhere() -> None:
    for parse, text in (
        (parse_asciidoc, "Seen.\n\ninclude::/etc/passwd[]\n"),
        (parse_org, 'Seen.\n\n#+INCLUDE: "/etc/passwd"\n'),
        (parse_rst, "Seen.\n\n.. include:: /etc/passwd\n\n.. literalinclude:: /etc/passwd\n"),
        (parse_latex, "Seen.\n\n\\input{/etc/passwd}\\include{/etc/passwd}\\lstinputlisting{/etc/passwd}\n"),
    ):
        assert parse(text.encode()).text == "Seen."
