"""Formulas of Word (ECMA-376, 22.1) on one line, in the linear form that Word has itself (UTN 28): `(a+b)/2`, `x^2`."""

from __future__ import annotations

import re
from collections.abc import Callable

from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement

_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MATH = f"{_M}oMath"
_NOT_SHOWN = frozenset((qn("w:del"), qn("w:moveFrom"), qn("w:rPr")))
# Where one piece ends or begins, which is shown by a space between two words and not at all beside a sign.
_APART = "\N{INVISIBLE SEPARATOR}"
_MARKED_WORDS = re.compile(rf"(?<=[\w)]){_APART}+(?=\w)")
# What an operator and a pair of brackets are where the file names none (22.1.2.70, 22.1.2.24).
_INTEGRAL, _BRACKETS, _BETWEEN = "∫", ("(", ")"), "|"


def formula(math: BaseOxmlElement) -> str:
    """What an `m:oMath` shows: limits and exponents marked, fractions and roots in brackets where they need them."""
    told_apart = _MARKED_WORDS.sub(" ", _inside(math)).replace(_APART, "")
    return " ".join(told_apart.split())


def _inside(element: BaseOxmlElement) -> str:
    return "".join(_shown(child) for child in element)


def _shown(element: BaseOxmlElement) -> str:
    tag = str(element.tag)
    if tag == f"{_M}t":
        return element.text or ""
    if tag in _NOT_SHOWN or tag.endswith("Pr"):
        return ""
    write = _WRITTEN.get(tag.removeprefix(_M))
    return write(element) if write is not None else _inside(element)


def _part(element: BaseOxmlElement, name: str) -> str:
    found = element.find(f"{_M}{name}")
    return _inside(found) if found is not None else ""


def _property(element: BaseOxmlElement, name: str, default: str) -> str:
    """A property's value; `default` where it is not given, nothing where it is given as empty."""
    own = next((child for child in element if str(child.tag).endswith("Pr")), None)
    found = own.find(f"{_M}{name}") if own is not None else None
    return str(found.get(f"{_M}val", "")) if found is not None else default


def _grouped(text: str) -> str:
    """In brackets, unless it is one word or is in brackets already."""
    text = text.strip(f" {_APART}")
    is_whole = text.startswith("(") and text.endswith(")") and text.count("(") == 1
    return text if text.isalnum() or is_whole or len(text) <= 1 else f"({text})"


def _limits(element: BaseOxmlElement, below: str = "sub", above: str = "sup") -> str:
    marks = (("_", _part(element, below)), ("^", _part(element, above)))
    return "".join(f"{mark}{_grouped(text)}" for mark, text in marks if text.strip()) + _APART


def _fraction(element: BaseOxmlElement) -> str:
    over, under = _part(element, "num"), _part(element, "den")
    if _property(element, "type", "bar") == "noBar":
        return f"{over}¦{under}"
    return f"{_grouped(over)}/{_grouped(under)}"


def _operator(element: BaseOxmlElement) -> str:
    return f"{_property(element, 'chr', _INTEGRAL)}{_limits(element)} {_part(element, 'e')}"


def _bracketed(element: BaseOxmlElement) -> str:
    begin, end = (_property(element, name, of) for name, of in zip(("begChr", "endChr"), _BRACKETS, strict=True))
    between = _property(element, "sepChr", _BETWEEN)
    return f"{begin}{between.join(map(_inside, element.findall(f'{_M}e')))}{end}"


def _root(element: BaseOxmlElement) -> str:
    degree = _part(element, "deg").strip()
    return f"{f'root({degree}) of ' if degree else '√'}({_part(element, 'e')})"


def _rows(element: BaseOxmlElement) -> str:
    return "; ".join(map(_inside, element.findall(f"{_M}e")))


def _matrix(element: BaseOxmlElement) -> str:
    rows = (", ".join(map(_inside, row.findall(f"{_M}e"))) for row in element.findall(f"{_M}mr"))
    return f"[{'; '.join(rows)}]"


def _function(element: BaseOxmlElement) -> str:
    return f"{_APART}{_part(element, 'fName')} {_grouped(_part(element, 'e'))}{_APART}"


_WRITTEN: dict[str, Callable[[BaseOxmlElement], str]] = {
    "f": _fraction,
    "nary": _operator,
    "d": _bracketed,
    "rad": _root,
    "eqArr": _rows,
    "m": _matrix,
    "func": _function,
    "sSub": lambda element: f"{_part(element, 'e')}{_limits(element)}",
    "sSup": lambda element: f"{_part(element, 'e')}{_limits(element)}",
    "sSubSup": lambda element: f"{_part(element, 'e')}{_limits(element)}",
    "sPre": lambda element: f"{_limits(element)} {_part(element, 'e')}",
    "limLow": lambda element: f"{_part(element, 'e')}{_limits(element, 'lim', 'sup')}",
    "limUpp": lambda element: f"{_part(element, 'e')}{_limits(element, 'sub', 'lim')}",
    "acc": lambda element: f"{_part(element, 'e')}{_property(element, 'chr', '̂')}",
}
