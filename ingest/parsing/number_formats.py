"""A spreadsheet's values as its reader sees them (ECMA-376, 18.8.31: number formats)."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

# Colours, conditions and locales in brackets, the space of a width (`_x`), a filler (`*x`).
_NOT_PRINTED = re.compile(r"\[(?!\$)[^\]]*\]|_.|\*.")
_CURRENCY = re.compile(r"\[\$([^\]-]*)(?:-[^\]]*)?\]")
_WORDS = re.compile(r"\"[^\"]*\"?|\[[^\]]*\]|\\.")
_PARTS = re.compile(
    r"(?P<quoted>\"[^\"]*\"?)|\\(?P<escaped>.)|(?P<digits>[0#?][0#?,]*(?:\.[0#?]*)?(?:E[+-]0+)?,*|\.[0#?]+)|(?P<other>.)",
    re.S,
)
# Excel's own width of a number in the format General.
_GENERAL_DIGITS = 11
_DECIMALS = 30  # the most that Excel shows
_EXACTLY = Context(prec=400)  # the largest float with all of them


def shown(value: object, number_format: str) -> str:
    """`value` as a spreadsheet shows it: dates in ISO 8601, numbers in their format; a format unknown to us is General.

    Nothing for an empty cell.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value, number_format)
    if isinstance(value, datetime):
        clock = _clock(number_format)
        if "h" not in clock and value.time() == time():
            return value.date().isoformat()
        return value.isoformat(" ", "seconds") if "s" in clock else _whole_seconds(value.isoformat(" "))
    if isinstance(value, time):
        return _whole_seconds(value.isoformat())
    if isinstance(value, date):
        return value.isoformat()
    return _whole_seconds(str(value)) if isinstance(value, timedelta) else str(value)


def _clock(number_format: str) -> str:
    """The letters of a format, small, its words left out: `h` shows hours, `s` seconds."""
    return _WORDS.sub("", number_format).lower()


def _whole_seconds(text: str) -> str:
    """A time to the second, or to the minute where it is a whole one."""
    text = text.partition(".")[0]
    return text.removesuffix(":00") if text.count(":") == 2 else text


def _number(value: float, number_format: str) -> str:
    sections = number_format.split(";")
    if value < 0 and len(sections) > 1 and sections[1]:
        # A section of its own says how less than nothing looks, parentheses say, and no sign is added.
        return _in_section(-value, sections[1])
    section = sections[2] if value == 0 and len(sections) > 2 else sections[0]
    text = _in_section(abs(value), section)
    return f"-{text}" if value < 0 and any(digit in text for digit in "123456789") else text


def _in_section(value: float, section: str) -> str:
    pattern = _CURRENCY.sub(lambda match: f'"{match[1]}"', _NOT_PRINTED.sub("", section))
    parts = [(match.lastgroup, match[match.lastgroup or 0]) for match in _PARTS.finditer(pattern)]
    digits = [text for group, text in parts if group == "digits"]
    words = "".join(text for group, text in parts if group == "other" and text not in "%$€£¥()+-,. ")
    if len(digits) != 1 or words:
        # General, text, fractions, and a date's letters on what is no date.
        return _general(value)
    percent = any(group == "other" and text == "%" for group, text in parts)
    # In decimals, as Excel does it: 28.5 % of a float is a little less, and a half is rounded up.
    exact = Decimal(repr(value)) * (100 if percent else 1)
    number = _digits(exact, digits[0]) if exact.is_finite() else _general(value)
    printed = (number if group == "digits" else text.strip('"') if group == "quoted" else text for group, text in parts)
    return "".join(printed).strip()


def _digits(value: Decimal, pattern: str) -> str:
    if "E" in pattern:
        return f"{float(value):.{pattern.partition('.')[2].partition('E')[0].count('0')}E}"
    # A comma after the last digit divides by a thousand.
    bare = pattern.rstrip(",")
    whole, _, fraction = bare.partition(".")
    grouping = "," if "," in whole else ""
    scaled = value.scaleb(-3 * (len(pattern) - len(bare)), _EXACTLY)
    decimals = min(len(fraction), _DECIMALS)
    text = f"{scaled.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _EXACTLY):{grouping}.{decimals}f}"
    optional = len(fraction) - len(fraction.rstrip("#?"))
    for _ in range(optional):
        text = text.removesuffix("0")
    return text.removesuffix(".")


def _general(value: float) -> str:
    if isinstance(value, int) or value.is_integer():
        return str(int(value))
    return f"{value:.{_GENERAL_DIGITS}g}"
