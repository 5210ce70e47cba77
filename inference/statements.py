"""What a statement stands and falls with, whatever its other words: numbers, names and negation."""

from __future__ import annotations

import regex

WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")
NUMBER = regex.compile(r"\p{N}+(?:[.,:/]\p{N}+)*")
NAME = regex.compile(r"\p{Lu}[\p{L}\p{M}\p{N}]+")
IDENTIFIER = regex.compile(r"[\p{L}\p{N}.-]+(?:[_@][\p{L}\p{N}.-]+)+")
NEGATION = regex.compile(
    r"(?i)\b(?:no|not|never|none|nobody|nothing|neither|nor|cannot|without|fail(?:s|ed)? to|\w+n['’]t|nicht|kein\w*|"
    r"niemals|jamás|nunca|ningún\w*|ne\b.{1,20}\bpas|не|нет|никогда|nu|không)\b|不|没|沒|无|無|未|ไม่|नहीं|لا|ليس|لم|لن"
)
