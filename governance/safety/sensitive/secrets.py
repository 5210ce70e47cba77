"""Secrets: keys and tokens that are known by their form, and values assigned to names that say so."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from core.answers import Span

_PRIVATE_KEY = r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY[A-Z ]{0,6}-----[^-]{0,20000}(?:-----END[^-]{0,50}-----)?"
_AWS_ASSIGNED = r"(?i:\baws\w{0,20}(?:secret|key)\w{0,20}[\"']?\s?[:=]\s?[\"']?)(?P<value>[A-Za-z0-9/+]{40})(?![\w/+])"

# Category, what must stand in the text (lower case) for the pattern to be tried, and the secret itself.
_KNOWN = tuple(
    (f"secret.{name}", sign, re.compile(pattern))
    for name, sign, pattern in (
        ("private_key", "private key", _PRIVATE_KEY),
        ("private_key", "putty-user-key-file", r"PuTTY-User-Key-File-\d[\s\S]{0,8000}?Private-MAC: \w+"),
        ("aws", "a", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
        ("aws", "aws", _AWS_ASSIGNED),
        ("github", "gh", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b"),
        ("github", "github_pat_", r"\bgithub_pat_\w{22,255}\b"),
        ("gitlab", "gl", r"\bgl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[\w-]{20,1024}"),
        ("slack", "xox", r"\bxox[abeoprs](?:-[A-Za-z0-9]{6,}){2,}"),
        ("slack", "xapp-", r"\bxapp-\d(?:-[A-Za-z0-9]+){3}"),
        ("slack", "hooks.slack.com", r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[\w/]{20,}"),
        ("stripe", "k_", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b|\bwhsec_[A-Za-z0-9+/=]{24,}"),
        ("google", "aiza", r"\bAIza[\w-]{35}"),
        ("google", "ya29.", r"\bya29\.[\w-]{20,}"),
        ("openai", "sk-", r"\bsk-(?=[\w-]{0,40}\d)[\w-]{20,}"),
        ("npm", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("pypi", "pypi-", r"\bpypi-[\w-]{50,}"),
        ("sendgrid", "sg.", r"\bSG\.[\w-]{16,32}\.[\w-]{16,64}"),
        ("azure", "key=", r"\b(?:Account|SharedAccess)Key=(?P<value>[A-Za-z0-9+/]{40,}={0,2})"),
        ("telegram", ":aa", r"\b\d{8,10}:AA[\w-]{33}"),
        ("jwt", "eyj", r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"),
        ("footnote", "fnk_", r"\bfnk_[0-9a-f]{12}_[\w-]{20,}"),
        ("password_in_address", "://", r"\b[a-z][a-z0-9+.-]{0,20}://[^\s:/@]{1,80}:(?P<value>[^\s/@${<\"']{3,200})@"),
        ("bearer", "bearer", r"(?i:\bbearer)\s+(?P<value>[A-Za-z0-9_\-.~+/]{20,}=*)"),
    )
)  # fmt: skip

_NAMES = re.compile(
    r"pass(?:words?|wd|phrase|wort)|kennwort|mot de passe|contraseña|pwd|secret|token|credentials?|"
    r"(?:api|access|auth|private|secret|encryption|signing|client|account|master|service)[_ -]?key"
)
_ASSIGNED = re.compile(
    r"[\w-]{0,20}[\"'`]?(?:\s{0,8}(?::=|=>|[:=])\s{0,8}| is )[\"'`]?(?P<value>[^\s\"'`,;<>(){}\[\]$%█]{6,200})",
    re.IGNORECASE,
)
_CODE = re.compile(r"[\w]+\.[\w.]+$|.*[.(]\w+\($")
_PLACEHOLDER = re.compile(
    r"(?i:^(?:x{3,}|\*{3,}|\.{3,}|-{3,}|your[_-]|my[_-]|example|changeme|change[_-]me|placeholder|redacted|none|null|"
    r"true|false|undefined|https?:))"
)
# Below this a long value is words and not chance: English text has some 2.5 to 3.5 bits in so few letters.
_MIN_ENTROPY_BITS = 3.0


def secrets(text: str) -> Iterator[Span]:
    """The secrets of `text`, which is normalized; spans may overlap."""
    lowered = _lower(text)
    for category, sign, pattern in _KNOWN:
        if sign in lowered:
            for found in pattern.finditer(text):
                yield Span(*found.span("value" if "value" in pattern.groupindex else 0), category)
    for name in _NAMES.finditer(lowered):
        assigned = _ASSIGNED.match(text, name.end())
        if assigned and _looks_chosen(value := assigned["value"].rstrip(".!?)"), name[0]):
            at = assigned.start("value")
            yield Span(at, at + len(value), "secret.assigned")


def _lower(text: str) -> str:
    """`text` in lower case, each character where it was (the lower case of a few is two)."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _looks_chosen(value: str, name: str) -> bool:
    """Whether a value is a secret and no word, path, variable or stand-in for one."""
    if len(value) < 6 or _PLACEHOLDER.match(value) or _CODE.match(value):
        return False
    classes = [any(map(kind, value)) for kind in (str.islower, str.isupper, str.isdigit)]
    classes.append(not value.isalnum())
    if name.startswith(("pass", "pwd", "kennwort", "mot", "contra")):
        return sum(classes) >= 2 and (any(map(str.isdigit, value)) or not value.replace("-", "").isalpha())
    return len(value) >= 12 and any(map(str.isdigit, value)) and _entropy_bits(value) >= _MIN_ENTROPY_BITS


def _entropy_bits(value: str) -> float:
    """Shannon's entropy of its characters, in bits each."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)
