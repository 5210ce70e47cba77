"""Links in text that leaves: to the documents an answer cites, and nowhere else; images never.

Text that was written by a model, or by whoever wrote a document, may hold markup that makes a reader's program fetch
an address (the EchoLeak path, CVE-2025-32711). Nothing here parses one dialect of markup: whatever could begin a link,
an image or a tag in any of them is broken apart, and stays readable.
"""

from __future__ import annotations

from collections.abc import Collection

import regex

from governance.safety.normalization import without_invisible

# Everything up to white space or a character that ends an address in every dialect.
_RUN = r"[^\s<>\"`|{}^]"
_ACTING = (
    r"(?:https?|ftp|wss?|data|javascript|vbscript|blob|about|file|mailto|tel|sms|xmpp|view-source|intent|magnet|slack|"
    r"ms-\w+)"
)
_DOT = "[.。．｡]"
_WELL_KNOWN = (
    r"(?:com|org|net|io|co|dev|app|info|biz|xyz|online|site|top|club|link|click|live|cloud|ai|me|eu|uk|de|fr|es|it|nl|"
    r"pl|br|in|au|ca|ru|cn|jp|us)"
)
_ADDRESS = regex.compile(
    rf"(?<![a-z0-9+.-])[a-z0-9+.-]++:[/\\]{{2}}{_RUN}*"
    rf"|\b{_ACTING}:{_RUN}+"
    rf"|\bwww\d?{_DOT}{_RUN}+"
    rf"|(?<![\w@.-])(?:[\p{{L}}\p{{N}}_-]+{_DOT})+(?:{_WELL_KNOWN}\b(?![\w@.-]*\w@)|\p{{L}}{{2,}}(?=[/?]|:\d)){_RUN}*"
    rf"|(?<![\w@.-])(?:\d{{1,3}}\.){{3}}\d{{1,3}}(?=[:/]){_RUN}*",
    regex.IGNORECASE,
)
# `//host` takes its scheme from the page around it, and `\\host` is a share that some programs open by themselves.
_WITHOUT_SCHEME = regex.compile(r"(?<![:\]\w/\\])([/\\])(?=\1[\w\[])")
_OPENS_A_TAG = regex.compile(r"<(?=[\p{L}/!?@#:_])")
_OPENS_AN_IMAGE = regex.compile(r"!(?=\[)")
# What joins a label to its destination: `](`, `][` and the `]:` of a definition.
_JOINS = regex.compile(r"\](?=[(\[:])")
# The colons and dots of an address, whether or not they are in brackets already.
_STOPS = regex.compile(r"\[(?<stop>[:.。．｡])\]|(?<stop>[:.。．｡])")
_ENDS_A_SENTENCE = ".,;:!?)]}'*_~»”’"


def inert(text: str, allowed: Collection[str] = ()) -> str:
    """`text` in which no program finds a link, an image or a tag, but for the bare addresses that are `allowed`.

    `allowed` holds the addresses of cited documents; one stays only where the whole of it stands, with nothing added,
    and only if it is http or https. Others lose what makes them work and stay readable: `https[:]//example[.]org`.
    Invisible characters are taken out. An inert text is left as it is.
    """
    if text.isalnum():
        return text
    kept = frozenset(address for address in allowed if address.startswith(("https://", "http://")))
    text = _ADDRESS.sub(lambda found: _without_effect(found[0], kept), without_invisible(text))
    text = _WITHOUT_SCHEME.sub(r"\1 ", text)
    text = _OPENS_A_TAG.sub("< ", text)
    text = _OPENS_AN_IMAGE.sub("! ", text)
    return str(_JOINS.sub("] ", text))


def _without_effect(address: str, kept: frozenset[str]) -> str:
    bare = address.rstrip(_ENDS_A_SENTENCE)
    if address in kept or bare in kept:
        return address
    return str(_STOPS.sub(r"[\g<stop>]", bare)) + address[len(bare) :]
