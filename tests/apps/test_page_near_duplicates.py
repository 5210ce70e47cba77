"""The page names the documents that say nearly the same as the one that is open, and opens them."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_site import CHROMIUM, DESKTOP, Site, chromium, fresh_page, served, sign_in
from playwright.sync_api import expect
from prose import page as markdown
from prose import prose
from web_home import web_home


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")
def test_a_reader_opens_the_near_duplicate_of_a_document_and_who_may_not_read_it_sees_none(tmp_path: Path) -> None:
    plan = markdown("Plan", prose(1)).encode()
    with web_home(tmp_path / "home") as web, served(web) as url, chromium() as browser:
        site = Site(url, web)
        web.add("plan.md", plan, "everyone")
        web.add("copy.md", plan + b"\nOnly here: a sentence more.\n", "user:ana")
        for who, near in (("user:ana", 1), ("user:ben", 0)):
            with fresh_page(browser, DESKTOP) as page:
                sign_in(page, site, web.key(who))
                page.locator('[data-view="library"]').click()
                page.locator("#library-list li", has_text="plan.md").locator("button.title").click()
                expect(page.locator("#passage-text")).not_to_be_empty()
                expect(page.locator("#passage-near button")).to_have_count(near)
                if near:
                    expect(page.locator("#passage-near")).to_have_text("Nearly the same: Plan")
                    page.locator("#passage-near button").click()
                    expect(page.locator("#passage-text")).to_contain_text("Only here: a sentence more.")
                    expect(page.locator("#passage-where")).to_have_text("copy.md")
                else:
                    expect(page.locator("#passage-near")).to_be_hidden()
