"""What is said of a web site to bring in: where it begins, how far it goes, and how it is asked."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

LONGEST_DELAY_S = 60.0
"""The longest pause between two requests, whatever a Crawl-delay asks for."""


class WebSettings(BaseModel):
    """What is brought in of which site, and how it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="Address of the first page; the site is what lies on its host, below its last slash.")
    sitemaps: tuple[str, ...] = Field(
        (), description="Addresses of sitemaps on that host; none: those robots.txt names, else /sitemap.xml."
    )
    follow_links: bool = Field(True, description="Whether links are followed, or sitemaps alone say what there is.")
    leave_out: tuple[str, ...] = Field(
        (), description="Paths that are not brought in, written as in robots.txt: /calendar/, /*?print=, /*.zip$."
    )
    most_pages: int = Field(10_000, ge=1, le=50_000, description="Most addresses that one listing asks.")
    most_depth: int = Field(20, ge=0, le=1_000, description="Most links from the first page or a sitemap to a page.")
    delay_s: float = Field(
        0.5,
        ge=0,
        le=LONGEST_DELAY_S,
        description="Pause between two requests in seconds; a Crawl-delay may lengthen it.",
    )
    timeout_s: float = Field(60.0, gt=0, description="Longest time for one request with its redirects, in seconds.")
    trust_lastmod: bool = Field(
        False, description="Whether a page whose lastmod in the sitemap has not changed is not even asked."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Hosts that may be asked though their addresses are private, each exactly as in url: "
        "wiki.corp.example, 10.1.2.3:8080.",
    )
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (), description="Private networks whose hosts may be asked: 10.1.0.0/16."
    )
    allowed_ports: tuple[int, ...] = Field((80, 443), description="Ports that may be asked.")
    ca_file: Path | None = Field(
        None, description="File with the certificates (PEM) that the site's is checked with; none: the machine's own."
    )
    listed_together: int = Field(50, ge=1, le=1_000, description="Pages that are asked between two cursors.")
