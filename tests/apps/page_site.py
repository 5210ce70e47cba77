"""A home served to a real Chromium, on a desktop's and a phone's size, for the tests of the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from web_home import WebHome

CHROMIUM = Path("/usr/bin/chromium")
DESKTOP = {"width": 1360, "height": 850}
PHONE = {"width": 390, "height": 844}
# How long the page may take to show something while other tests keep the processors busy.
BUSY_MS = 30_000
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


@dataclass
class Site:
    """A served home, and where."""

    url: str
    web: WebHome


@contextmanager
def served(web: WebHome) -> Iterator[str]:
    """Serve the home on a port of its own until the block ends; its URL."""
    server = uvicorn.Server(uvicorn.Config(web.app, port=0, access_log=False, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=BUSY_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def fresh_page(browser: Browser, size: dict[str, int]) -> Iterator[Page]:
    """A fresh browser profile; anything the page logs as an error fails the test."""
    context = browser.new_context(viewport={"width": size["width"], "height": size["height"]}, has_touch=size is PHONE)
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
    """Sign in by a link, in place of whoever is signed in."""
    with page.expect_response(lambda response: response.url.endswith("/v1/session")):
        page.goto(f"{site.url}/#key={key}")
    expect(page.locator("#sign-out")).to_be_visible()


def ask(page: Page, question: str) -> None:
    """Ask, and wait until the answer is whole."""
    page.locator("#question").fill(question)
    page.locator("#ask").click()
    turn = page.locator(".turn", has_text=question).last
    expect(turn.locator(".made, .abstained").first).to_be_visible()
    expect(page.locator("#ask")).to_be_visible()
