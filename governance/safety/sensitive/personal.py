"""Personal data: e-mail addresses, telephone and card numbers, accounts, identity numbers of the common countries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import phonenumbers

from core.answers import Span
from governance.safety.normalization import normalize
from governance.safety.sensitive import checksums

# How far before a number the word may stand that says what it is: a table's heading may be far above its row.
_CONTEXT_CHARACTERS = 2_000
_PHONE_CONTEXT_CHARACTERS = 40

# Where a number or a code may begin: not within a longer one, a decimal or a word, and six digits or a few letters and
# a digit stand there. After a digit and a comma only what is longer than the rest of a decimal: a row of a table may
# have its cells apart so.
_BEGINS = re.compile(
    r"(?<![^\W_])(?<![/+-])(?<!\d\.)(?:(?<!\d,)|(?=[A-Za-z0-9]{8}|\d[\d -]{8}))"
    r"(?:[A-Za-z](?=[A-Za-z]{0,5}[ -]?\d)|\d(?=(?:[ ._/-]{0,2}\d){5}))"
)
_SEPARATORS = re.compile(r"[ .\-/_]")
_DECIMALS = re.compile(r",\d{1,2}(?![\d/])")


@dataclass(frozen=True)
class _Number:
    """A kind of number: how it is written, what its check digits say, and the word without which it is none."""

    category: str
    written: re.Pattern[str]
    valid: Callable[[str], bool]
    context: re.Pattern[str] | None = None


def _number(
    pattern: str, valid: Callable[[str], bool], context: str | None = None, category: str = "pii.national_id"
) -> _Number:
    written = re.compile(rf"(?:{pattern})(?![^\W_]|[/+-]|\.\d)", re.IGNORECASE)
    return _Number(category, written, valid, _words(context) if context else None)


def _words(pattern: str) -> re.Pattern[str]:
    """A pattern of words as normalized text spells them."""
    return re.compile(normalize(pattern).text)


# Where one number in ten or so passes the check by chance, a word must say what it is.
_NUMBERS = (
    _number(
        r"4\d{3}(?:[ ._-]{0,2}\d{4}){3}(?:[ ._-]{0,2}\d{3})?|4\d{12}|(?:5[0-8]\d\d|2[2-7]\d\d)(?:[ ._-]{0,2}\d{4}){3}"
        r"|6\d{3}(?:[ ._-]{0,2}\d{4}){3}(?:[ ._-]{0,2}\d{3})?|3[47]\d\d[ ._-]{0,2}\d{6}[ ._-]{0,2}\d{5}"
        r"|3(?:0[0-5]|[689]\d)\d[ ._-]{0,2}\d{6}[ ._-]{0,2}\d{4}|35\d\d(?:[ ._-]{0,2}\d{4}){3}|(?:2131|1800)\d{11}",
        checksums.luhn,
        category="pii.card",
    ),
    _number(
        r"\d{12,19}",
        checksums.luhn,
        r"(?i:\b(?:credit|debit|bank)?[ -]?cards?\b|\bkarte|kreditkarte|\bcarte\b|tarjeta|visa|maestro|mastercard)",
        "pii.card",
    ),
    _number(r"\d{3}-\d{2}-\d{4}", checksums.social_security),
    _number(r"9\d{2}-\d{2}-\d{4}", checksums.itin),
    _number(r"\d{3}([ .]?)\d{2}\1\d{4}", checksums.social_security, r"(?i:\bssns?\b|social security)"),
    _number(
        r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]([ -]?)\d{2}\1\d{2}\1\d{2}\1[A-D]",
        checksums.national_insurance,
    ),
    _number(r"\d{3}([ -]?)\d{3}\1\d{4}", checksums.health_service, r"\bNHS\b"),
    _number(r"\d{2} ?\d{3} ?\d{3} ?\d{3}", checksums.steuer_id),
    _number(
        r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}",
        checksums.nir,
    ),
    _number(r"(?:\d{8}|\d{2}\.\d{3}\.\d{3}|[XYZ][ -]?\d{7})[ -]?[A-HJ-NP-TV-Z]", checksums.dni),
    _number(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", checksums.codice_fiscale),
    _number(r"\d{4}([ .]?)\d{2}\1\d{3}", checksums.burgerservicenummer, r"\bBSN\b|(?i:burgerservice|sofi-?nummer)"),
    _number(r"\d{11}", checksums.pesel, r"(?i:pesel)"),
    _number(r"\d{3}\.\d{3}\.\d{3}-\d{2}", checksums.cpf),
    _number(r"\d{11}", checksums.cpf, r"\bCPF\b"),
    _number(r"\d{4} \d{4} \d{4}", checksums.verhoeff),
    _number(r"\d{4}(-?)\d{4}\1\d{4}", checksums.verhoeff, r"(?i:aadhaar|uidai)|आधार"),
    _number(r"\d{3}([ -]?)\d{3}\1\d{3}", checksums.tax_file_number, r"\bTFN\b|(?i:tax file)"),
    _number(r"\d{3}([ -]?)\d{3}\1\d{3}", checksums.social_insurance, r"\b(?:SIN|NAS)\b|(?i:social insurance)"),
    _number(r"756\.?\d{4}\.?\d{4}\.?\d{2}", checksums.ahv),
    _number(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", checksums.rijksregister),
    _number(r"(?:19|20)?\d{6}[-+]\d{4}", lambda number: checksums.personnummer(re.sub(r"\D", "", number)[-10:])),
    _number(r"\d{6}[-+ABCDEFUVWXY]\d{3}[0-9A-FHJ-NPR-Y]", checksums.henkilotunnus),
    _number(r"[1-9]\d{16}[\dX]", checksums.resident_identity),
    _number(r"[A-Z]{5}\d{4}[A-Z]", checksums.permanent_account, r"\bPAN\b|(?i:permanent account)"),
    _number(r"\d{6} ?\d{5}", checksums.fodselsnummer),
    _number(r"\d{6}-\d{4}", checksums.cpr, r"\bCPR\b|(?i:cpr-?n|personnummer)"),
    _number(r"\d{6}/\d{4}", checksums.rodne_cislo),
    _number(r"[1-8]\d{12}", checksums.cnp, r"\bCNP\b|(?i:cod numeric)"),
    _number(r"[1-9]\d{10}", checksums.kimlik, r"\bT\.? ?C\.? |(?i:\btckn\b|kimlik)"),
    _number(r"[1-3]\d{2}( ?)\d{3}\1\d{3}", checksums.nif, r"\bNIF\b|(?i:contribuinte)"),
    _number(r"\d{7}[A-W][A-IW]?", checksums.personal_public_service, r"\bPPSN?\b|(?i:personal public service)"),
    _number(r"[1-9]\d{3} ?\d{6}", checksums.sozialversicherung, r"\bSV-?N[Rr]\b|(?i:sozialversicherung)"),
    _number(r"\d{10}[01][89]\d", checksums.dated_luhn),
    _number(r"\d{11}", checksums.dated_luhn, r"ΑΜΚΑ|\bAMKA\b"),
    _number(r"\d{4}([ -]?)\d{4}\1\d{4}", checksums.my_number, r"マイナンバー|個人番号|(?i:my number)"),
    _number(r"\d{6}-[1-8]\d{6}", checksums.resident_registration),
    _number(r"[STFGM]\d{7}[A-Z]", checksums.nric),
    _number(r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d", checksums.curp),
    _number(r"\d{3}-\d{3}-\d{3}[ -]\d{2}", checksums.snils),
    _number(r"\d{9}", checksums.luhn, r"ת\.?ז|תעודת זהות|(?i:israeli? (?:id|identity)|teudat zehut)"),
)

_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w.+%'-]{1,256}@(?:[\w-]{1,63}\.)+(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})(?![^\W_])", re.IGNORECASE
)
# As people write them to be read by people alone: `ana (at) example (dot) org`.
_SPELLED_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w.+%'-]{1,64} ?[\[({] ?at ?[\])}] ?(?:[\w-]{1,63}(?:\.| ?[\[({] ?dot ?[\])}] ?)){1,8}"
    r"[^\W\d_]{2,24}(?![^\W_])",
    re.IGNORECASE,
)
# An account's country and check digits, and what may be the rest of it, which may hold the next one.
_IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?=(?P<rest>(?:[ .-]{0,2}[A-Z0-9]){11,30}))", re.IGNORECASE)

_PHONE = re.compile(
    r"(?<![\w/-])(?<!\d[.,:])(?:\+ ?|00)?(?:\(\+?\d{1,5}\)|\d)(?:[ .()/-]{0,3}\d){5,14}"
    r"(?: ?(?:x|ext\.?) ?\d{1,6})?(?![\w]|[.,:/-]\d)"
)
_PHONE_WORD = _words(
    r"(?i:\b(?:tele)?phones?\b|\btel\b|\bmobile\b|\bcell\b|\bcall\b|\bfax\b|\bhotline\b|\bwhatsapp\b|\btelefon\w*|"
    r"\bhandy\b|\b(?:answering|reach(?:ed)?(?: \w+)?) (?:at|on)\b|\bmobil\w*|\btélé\w*|\bteléfono\b|\btelefono\b|"
    r"\bcontact\b|\bnumber (?:is|at)\b)|电话|電話|전화|тел"
)
_PHONE_WORD_AFTER = re.compile(r"(?i:[ ,(-]{0,3}(?:office|fax|mobile|cell|desk|home|work)\b)")
# With area code in brackets, with the 0 of a national number, or as North America groups its numbers.
_PHONE_SHAPE = re.compile(r"\(\d{2,5}\)|0[1-9]\d*[ ./()-]|0[1-9]\d{8,9}$|[2-9]\d\d[ .-][2-9]\d\d[ .-]\d{4}$")
_DATE = re.compile(r"(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4})")
_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "BR", "IN", "AU", "SE", "CH", "AT", "BE")


def personal_data(text: str) -> Iterator[Span]:
    """The personal data of `text`, which is normalized; spans may overlap."""
    if "@" in text:
        yield from (Span(*found.span(), "pii.email") for found in _EMAIL.finditer(text))
    yield from (Span(*found.span(), "pii.email") for found in _SPELLED_EMAIL.finditer(text))
    yield from _accounts(text)
    for begins in _BEGINS.finditer(text):
        for number in _NUMBERS:
            found = number.written.match(text, begins.start())
            if found and _holds(number, found, text):
                yield Span(*found.span(), number.category)
    yield from _phones(text)


def _holds(number: _Number, found: re.Match[str], text: str) -> bool:
    signs = _SEPARATORS.sub("", found[0]) if number.valid is not checksums.henkilotunnus else found[0]
    # Money may be grouped as numbers are, and has decimals.
    is_grouped = " " in found[0] or "." in found[0]
    if not number.valid(signs) or (is_grouped and _DECIMALS.match(text, found.end())):
        return False
    before = max(0, found.start() - _CONTEXT_CHARACTERS)
    return number.context is None or number.context.search(text, before, found.start()) is not None


def _accounts(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        # What follows an account number may look like more of it: the country says where it ends.
        compact = found[0].upper()
        for end in range(found.end(), found.end("rest")):
            if text[end] not in " .-":
                compact += text[end].upper()
                if len(compact) >= 15 and checksums.iban(compact):
                    yield Span(found.start(), end + 1, "pii.iban")
                    break


def _phones(text: str) -> Iterator[Span]:
    for found in _PHONE.finditer(text):
        if not _DATE.match(found[0]) and _is_phone(found, text):
            yield Span(*found.span(), "pii.phone")


def _is_phone(found: re.Match[str], text: str) -> bool:
    written = found[0]
    # What a dot or a colon joins to a word is the rest of an identifier.
    is_joined = text[found.start() - 1 : found.start()] in (".", ":")
    if written.startswith(("+", "(+")) or (written.startswith("00") and not is_joined):
        return _possible("+" + re.sub(r"^\D*(?:00)?", "", written))
    digits = sum(map(str.isdigit, written))
    if digits < 7:
        return False
    before = max(0, found.start() - _PHONE_CONTEXT_CHARACTERS)
    if _PHONE_WORD.search(text, before, found.start()) or _PHONE_WORD_AFTER.match(text, found.end()):
        return True
    return not is_joined and bool(_PHONE_SHAPE.match(written)) and any(_valid(written, region) for region in _REGIONS)


def _possible(written: str) -> bool:
    """Whether an international number is as long as its country's numbers are."""
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(written))
    except phonenumbers.NumberParseException:
        return False


def _valid(written: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(written, region))
    except phonenumbers.NumberParseException:
        return False
