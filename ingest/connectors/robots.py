"""What a site asks of crawlers: robots.txt (RFC 9309), and the robots rules of its pages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ingest.connectors.web_url import escaped

AGENT = "footnote"
READ_BYTES = 500 * 1024
"""What is read of a robots.txt (RFC 9309, 2.5)."""
_PRODUCT = re.compile(r"[a-z_-]+|\*", re.I)
_NO_AGENTS = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))


@dataclass(frozen=True)
class Robots:
    """The rules for us: pairs of a pattern and whether what it matches may be asked."""

    rules: tuple[tuple[str, bool], ...] = ()
    delay_s: float = 0.0
    sitemaps: tuple[str, ...] = ()

    def allows(self, target: str) -> bool:
        """Whether a path with its query may be asked: the longest pattern that matches decides, of two alike Allow."""
        matching = ((len(pattern), allow) for pattern, allow in self.rules if matches(pattern, target))
        return max(matching, default=(0, True))[1]


def read_robots(data: bytes) -> Robots:
    """The rules of all groups that name us, else of those for everybody."""
    groups: dict[str, _Group] = {}
    current: list[_Group] = []
    sitemaps: list[str] = []
    in_agents = False
    for line in data[:READ_BYTES].decode("utf-8-sig", "replace").splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "sitemap":
            sitemaps.append(value)
        elif key == "user-agent":
            product = _PRODUCT.match(value)
            current = current if in_agents else []
            current.append(groups.setdefault(product[0].lower() if product else value, _Group()))
        elif key in ("allow", "disallow") and value:
            for group in current:
                group.rules.append((escaped(value), key == "allow"))
        elif key == "crawl-delay":
            for group in current:
                group.delay_s = max(group.delay_s, _seconds(value))
        if key != "sitemap":
            in_agents = key == "user-agent"
    own = groups.get(AGENT) or groups.get("*") or _Group()
    return Robots(tuple(own.rules), own.delay_s, tuple(sitemaps))


@dataclass
class _Group:
    rules: list[tuple[str, bool]] = field(default_factory=list)
    delay_s: float = 0.0


def matches(pattern: str, target: str) -> bool:
    """Whether a path with its query begins as a pattern says; `*` is anything, `$` at the end is the end.

    In one pass, since patterns come from strangers and would take a regular expression for ever.
    """
    is_whole = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").split("*")
    if not target.startswith(first):
        return False
    if is_whole and not others:
        return target == first
    at = len(first)
    last = others.pop() if is_whole else ""
    for piece in others:
        found = target.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return not is_whole or (target.endswith(last) and len(target) - len(last) >= at)


def directives(values: Iterable[str]) -> frozenset[str]:
    """What `X-Robots-Tag` headers and robots `meta` elements say to us or to everybody: "noindex", "nofollow"."""
    said: set[str] = set()
    for value in values:
        is_ours = True
        for part in value.lower().split(","):
            agent, colon, rule = part.strip().partition(":")
            if colon and agent.strip() not in _NO_AGENTS:
                is_ours, part = agent.strip() == AGENT, rule
            if is_ours:
                said.add(part.strip())
    return frozenset(said | ({"noindex", "nofollow"} if "none" in said else set()))


def _seconds(value: str) -> float:
    try:
        return max(0.0, float(value))
    except ValueError:
        return 0.0
