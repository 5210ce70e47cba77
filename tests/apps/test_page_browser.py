"""The page, driven in a real Chromium against a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from web_home import LEAVE, MERGER, WebHome, web_home

from core.principals import parse_principal

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")


@dataclass
class Site:
    """A served home, and the keys of two people: ana may read about the merger, ben may not."""

    url: str
    web: WebHome
    ana: str
    ben: str
    merger: str


@contextmanager
def served(web: WebHome) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(web.app, port=0, access_log=False, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with web_home(tmp_path_factory.mktemp("page") / "home") as web, served(web) as url:
        web.add("leave.md", LEAVE, "everyone")
        merger = web.add("merger.md", MERGER, "user:ana")
        web.add("trap.txt", b"<img src=x onerror=alert(1)>\n\nThe canteen opens at noon <b>sharp</b>.\n", "everyone")
        yield Site(url, web, web.key("user:ana"), web.key("user:ben"), merger)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh browser profile; anything the page logs as an error fails the test."""
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None
    )
    yield page
    context.close()
    assert faults == []


def sign_in(page: Page, site: Site, key: str) -> None:
    page.goto(f"{site.url}/#key={key}")
    expect(page.locator("#person")).to_be_visible()


def ask(page: Page, question: str) -> None:
    page.locator("#question").fill(question)
    page.locator("#ask").click()
    expect(page.locator("#reply")).to_contain_text(question)


def test_a_sign_in_link_signs_in_and_leaves_no_key_in_the_address(page: Page, site: Site) -> None:
    sign_in(page, site, site.ana)

    expect(page.locator("#person")).to_have_text("ana")
    assert page.url == f"{site.url}/"
    assert site.ana not in page.content()
    page.reload()
    expect(page.locator("#person")).to_have_text("ana")


def test_a_footnote_opens_the_document_with_exactly_the_quoted_passage_marked(page: Page, site: Site) -> None:
    sign_in(page, site, site.ana)
    ask(page, "What is the agreed purchase price?")

    footnote = page.locator(".footnotes li", has_text="18 million euros").first
    quote = footnote.locator("blockquote").inner_text()
    number = footnote.locator(".number").inner_text()
    page.locator(".answer .marker", has_text=number).first.click()

    expect(page.locator("#passage mark")).to_be_in_viewport()
    assert page.locator("#passage mark").evaluate("mark => mark.textContent") == quote
    shown = page.locator("#passage-text").evaluate("panel => panel.textContent")
    assert shown == site.web.home.gate.text(parse_principal("user:ana"), site.merger)[1]
    page.keyboard.press("Escape")
    expect(page.locator("#passage")).to_be_hidden()


def test_who_may_not_read_a_document_neither_sees_it_listed_nor_quoted(page: Page, site: Site) -> None:
    sign_in(page, site, site.ben)
    ask(page, "What is the agreed purchase price?")
    page.locator("#library summary").click()

    expect(page.locator("#library-list")).to_contain_text("leave.md")
    expect(page.locator("body")).not_to_contain_text("merger.md")
    expect(page.locator("body")).not_to_contain_text("18 million")


def test_a_question_without_an_answer_is_told_so_with_what_comes_closest(page: Page, site: Site) -> None:
    sign_in(page, site, site.ben)
    ask(page, "Which asteroid did the probe visit in spring?")

    expect(page.locator(".abstained h2")).to_be_visible()
    expect(page.locator(".footnotes")).to_have_count(0)


def test_document_text_is_shown_as_text_and_never_run(page: Page, site: Site) -> None:
    page.on("dialog", lambda dialog: pytest.fail("a document ran as a script"))
    sign_in(page, site, site.ben)
    page.locator("#library summary").click()
    page.locator("#library-list li", has_text="trap.txt").get_by_role("button").click()

    expect(page.locator("#passage-text")).to_contain_text("<b>sharp</b>")
    assert page.locator("#passage img, #library img, #passage-text b").count() == 0


def test_signing_out_ends_the_session_and_clears_the_page(page: Page, site: Site) -> None:
    sign_in(page, site, site.ana)
    ask(page, "What is the agreed purchase price?")
    page.locator("#sign-out").click()

    expect(page.locator("#sign-in")).to_be_visible()
    assert "18 million" not in page.content()
    page.reload()
    expect(page.locator("#sign-in")).to_be_visible()


def test_a_refused_key_is_told_in_words(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.locator("#key").fill("fnk_0123456789ab_wrong")
    page.get_by_role("button", name="Sign in").click()

    expect(page.locator("#notice")).to_contain_text("not valid")


def test_a_key_revoked_meanwhile_leads_back_to_the_start(page: Page, site: Site) -> None:
    key = site.web.key("user:ana")
    sign_in(page, site, key)
    site.web.administration.revoke_key(key.split("_")[1])
    page.locator("#question").fill("What is the agreed purchase price?")
    page.locator("#ask").click()

    expect(page.locator("#sign-in")).to_be_visible()
    expect(page.locator("#notice")).to_contain_text("sign-in has ended")


def test_the_page_asks_nobody_else_for_anything(page: Page, site: Site) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, site, site.ana)
    ask(page, "What is the agreed purchase price?")

    assert [url for url in asked if not url.startswith(site.url)] == []
