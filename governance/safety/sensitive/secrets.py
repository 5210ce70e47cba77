"""Secrets: keys and tokens that are known by their form, and values assigned to names that say so."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from core.answers import Span
from governance.safety.normalization import normalize

# An encrypted one names its cipher, with hyphens, before its body.
_PRIVATE_KEY = (
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY[A-Z ]{0,6}-----[^-]{0,20000}(?:-(?!-{4})[^-]{0,20000}){0,8}"
    r"(?:-----END[^-]{0,50}-----)?"
)
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
        # Tried once in a run of such signs, however often that holds the beginning.
        ("jwt", "eyj", r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"),
        ("hugging_face", "hf_", r"\bhf_[A-Za-z0-9]{30,60}\b"),
        ("digitalocean", "_v1_", r"\bdo[opr]_v1_[0-9a-f]{64}\b"),
        ("databricks", "dapi", r"\bdapi[0-9a-f]{32}\b"),
        ("shopify", "shp", r"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}\b"),
        ("twilio", "sk", r"\bSK[0-9a-f]{32}\b"),
        ("mailgun", "key-", r"\bkey-[0-9a-f]{32}\b"),
        ("mailchimp", "-us", r"\b[0-9a-f]{32}-us\d{1,2}\b"),
        ("square", "sq0", r"\bsq0(?:atp|csp|idp)-[\w-]{22,}"),
        ("atlassian", "atatt3", r"\bATATT3[\w=-]{50,}"),
        ("vault", "hv", r"\bhv[bsr]\.[\w-]{24,}"),
        ("grafana", "gl", r"\bgl(?:sa|c)_[\w+/=]{20,}"),
        ("new_relic", "nrak-", r"\bNRAK-[A-Z0-9]{27}\b"),
        ("postman", "pmak-", r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}\b"),
        ("discord", ".", r"(?<![\w-])[MNO][A-Za-z0-9_-]{23,25}\.[\w-]{6}\.[\w-]{27,38}(?![\w-])"),
        ("age", "age-secret-key-", r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b"),
        ("azure", "sig=", r"[?&]sig=(?P<value>[A-Za-z0-9%+/]{40,}=?)"),
        ("basic", "basic", r"(?i:authorization\W{1,4}basic)\s+(?P<value>[A-Za-z0-9+/]{12,}={0,2})"),
        ("footnote", "fnk_", r"\bfnk_[0-9a-f]{12}_[\w-]{20,}"),
        ("password_in_address", "://", r"\b[a-z][a-z0-9+.-]{0,20}://[^\s:/@]{1,80}:(?P<value>[^\s/@${<\"']{3,200})@"),
        ("bearer", "bearer", r"(?i:\bbearer)\s+(?P<value>[A-Za-z0-9_\-.~+/]{20,}=*)"),
    )
)  # fmt: skip

# As normalized text spells them.
_CHOSEN = normalize(
    r"pass(?:words?|wd|phrase|wort|code)|pwd|kennwort|mot de passe|contraseña|senha|wachtwoord|lösenord|hasło|пароль|"
    r"密码|密碼|パスワード|비밀번호"
).text
_NAMES = re.compile(
    rf"(?P<password>{_CHOSEN})|secret|token|credentials?|"
    r"(?:api|access|auth|private|secret|encryption|signing|client|account|master|service)[_ -]?key"
)
# What may stand between a name and its value: brackets, whose it is, and what assigns it.
_ASSIGNED = re.compile(
    r"[\w-]{0,20}[\"'`]?(?: ?\([^()\n]{0,40}\))?"
    r"(?:\s{0,8}(?P<sign>:=|=>|[:=])\s{0,8}| ?\| ?"
    r"|(?: (?:for|of|to|für|pour|para)\b[^\n.,:;|]{1,50}?)? (?:is|lautet|ist|est|es):? )"
    r"[\"'`]?(?P<value>[^\s\"'`,;<>(){}\[\]$%&█][^\s\"'`,;<>█]{5,199})",
    re.IGNORECASE,
)
_CODE = re.compile(r"\w+\.[\w.]+$|[A-Za-z_][\w.]*[(\[]")
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
        if assigned is None:
            continue
        value = assigned["value"].rstrip(".!?)]}*")
        if _is_password(value, bool(assigned["sign"])) if name["password"] else _is_key(value):
            at = assigned.start("value")
            yield Span(at, at + len(value), "secret.assigned")


def _lower(text: str) -> str:
    """`text` in lower case, each character where it was (the lower case of a few is two)."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _is_password(value: str, is_assigned: bool) -> bool:
    """Whether a value is what somebody chose and no word; digits alone where a sign assigns them."""
    if _stands_in(value):
        return False
    classes = [any(map(kind, value)) for kind in (str.islower, str.isupper, str.isdigit)]
    has_others = not value.isalnum()
    if value.isdigit():
        return is_assigned
    return sum(classes) + has_others >= 2 and (any(map(str.isdigit, value)) or not value.replace("-", "").isalpha())


def _is_key(value: str) -> bool:
    """Whether a value was drawn by chance."""
    is_long = len(value) >= 12 and any(map(str.isdigit, value))
    return is_long and not _stands_in(value) and _entropy_bits(value) >= _MIN_ENTROPY_BITS


def _stands_in(value: str) -> bool:
    """Whether a value is too short for a secret, or a path, a variable or a word in place of one."""
    return len(value) < 6 or bool(_PLACEHOLDER.match(value) or _CODE.match(value))


def _entropy_bits(value: str) -> float:
    """Shannon's entropy of its characters, in bits each."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)
