"""The page, driven in a real Chromium against a real server, on a desktop and on a phone."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from page_site import CHROMIUM, DESKTOP, PHONE, Site, ask, chromium, fresh_page, served, sign_in
from playwright.sync_api import Browser, Page, Route, expect
from scripted_chat import ScriptedChat
from web_home import LEAVE, MERGER, web_home

from apps.work import Work
from catalog.job_records import count_jobs
from core.errors import ModelFailed
from core.principals import parse_grantee, parse_principal
from governance.access.rules import AccessLists
from governance.identity import PERSON_SCOPES
from inference.chat import ChatMessage, ChatRequest, TextDelta, Usage
from ingest.sources import SourceRequest
from wiring.home import Home
from workers.doorbell import QUEUES
from workers.run import run_next

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")


SALARY = b"# Salary\n\nThe minimum salary is 3100 euros a month.\n"
PARTS = ("chat_model", "answerer", "ask", "conversing")
DORA = parse_grantee("user:dora")


@dataclass
class Archive(Site):
    """A site with the keys of two people: ana may read about the merger, ben may not."""

    ana: str
    ben: str
    merger: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with web_home(tmp_path_factory.mktemp("page") / "home") as web, served(web) as url:
        web.add("leave.md", LEAVE, "everyone")
        merger = web.add("merger.md", MERGER, "user:ana")
        web.add("trap.txt", b"<img src=x onerror=alert(1)>\n\nThe canteen opens at noon <b>sharp</b>.\n", "everyone")
        yield Archive(url, web, web.key("user:ana"), web.key("user:ben"), merger)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    with fresh_page(browser, request.param) as opened:
        yield opened


class ClosingChat(ScriptedChat):
    """A scripted model that a home may close."""

    def close(self) -> None:
        """Nothing is held."""


class PausingChat(ClosingChat):
    """Writes a sentence and what tells that it has ended; the rest when told to. `left`: nobody wants it any more."""

    def __init__(self) -> None:
        self.going_on, self.left = threading.Event(), threading.Event()
        super().__init__(())

    def stream(self, messages: Sequence[ChatMessage], request: ChatRequest) -> Generator[TextDelta | Usage, None, None]:
        number = messages[-1].content.split("18 million")[0].rsplit("<passage ", 1)[1].split(":")[0]
        price = f"The agreed purchase price is 18 million euros [{number}]. Nobody else may ever know"
        self.script = (price, self._wait, f" of it [{number}].")
        return super().stream(messages, request)

    def _wait(self) -> None:
        cancel = self.requests[-1][1].cancel
        cancel.on_cancel(self.left.set)
        cancel.on_cancel(self.going_on.set)
        assert self.going_on.wait(30)


@contextmanager
def written_by(site: Site, chat: ClosingChat) -> Iterator[None]:
    """Let a model write the answers of the site."""
    home = site.web.home
    for part in PARTS:
        home.__dict__.pop(part, None)
    home.__dict__["chat_model"] = chat
    try:
        yield
    finally:
        for part in PARTS:
            home.__dict__.pop(part, None)


def open_view(page: Page, view: str) -> None:
    page.locator(f'[data-view="{view}"]').click()


def shelf(page: Page) -> None:
    """Bring the list of conversations into sight; on a phone it is in a drawer."""
    expect(page.locator("#sign-out")).to_be_visible()
    if page.locator("#drawer").is_visible():
        page.locator("#drawer").click()


def test_a_sign_in_link_signs_in_and_leaves_no_key_in_the_address(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ana)

    expect(page.locator("#person")).to_have_text("ana")
    assert page.url == f"{site.url}/"
    assert site.ana not in page.content()
    page.reload()
    expect(page.locator("#person")).to_have_text("ana")


def test_a_footnote_opens_the_document_with_exactly_the_quoted_passage_marked(page: Page, site: Archive) -> None:
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


def test_who_may_not_read_a_document_neither_sees_it_listed_nor_quoted(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ben)
    ask(page, "What is the agreed purchase price?")
    open_view(page, "library")

    expect(page.locator("#library-list")).to_contain_text("leave.md")
    expect(page.locator("body")).not_to_contain_text("merger.md")
    expect(page.locator("body")).not_to_contain_text("18 million")


def test_a_question_without_an_answer_is_told_so_with_what_comes_closest(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ben)
    ask(page, "Which asteroid did the probe visit in spring?")

    expect(page.locator(".abstained h3")).to_be_visible()
    expect(page.locator(".footnotes")).to_have_count(0)


def test_document_text_is_shown_as_text_and_never_run(page: Page, site: Archive) -> None:
    page.on("dialog", lambda dialog: pytest.fail("a document ran as a script"))
    sign_in(page, site, site.ben)
    open_view(page, "library")
    page.locator("#library-list li", has_text="trap.txt").get_by_role("button").click()

    expect(page.locator("#passage-text")).to_contain_text("<b>sharp</b>")
    assert page.locator("#passage img, #library img, #passage-text b").count() == 0


def test_signing_out_ends_the_session_and_clears_the_page(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ana)
    ask(page, "What is the agreed purchase price?")
    page.locator("#sign-out").click()

    expect(page.locator("#sign-in")).to_be_visible()
    assert "18 million" not in page.content()
    page.reload()
    expect(page.locator("#sign-in")).to_be_visible()


def test_a_refused_key_is_told_in_words(page: Page, site: Archive) -> None:
    page.goto(site.url)
    page.locator("#key").fill("fnk_0123456789ab_wrong")
    page.get_by_role("button", name="Sign in").click()

    expect(page.locator("#notice")).to_contain_text("not valid")


def test_a_key_revoked_meanwhile_leads_back_to_the_start(page: Page, site: Archive) -> None:
    key = site.web.key("user:ana")
    # What the page asks for by itself comes first: it would lead back as well, and leave nowhere to ask.
    with page.expect_response(lambda response: response.url.endswith("/v1/conversations")):
        sign_in(page, site, key)
    site.web.administration.revoke_key(key.split("_")[1])
    page.locator("#question").fill("What is the agreed purchase price?")
    page.locator("#ask").click()

    expect(page.locator("#sign-in")).to_be_visible()
    expect(page.locator("#notice")).to_contain_text("sign-in has ended")


def test_the_page_asks_nobody_else_for_anything(page: Page, site: Archive) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, site, site.ana)
    ask(page, "What is the agreed purchase price?")

    assert [url for url in asked if not url.startswith(site.url)] == []


def test_a_checked_sentence_stands_there_while_the_next_is_still_being_written(page: Page, site: Archive) -> None:
    chat = PausingChat()
    with written_by(site, chat):
        sign_in(page, site, site.ana)
        page.locator("#question").fill("What is the agreed purchase price?")
        page.locator("#ask").click()

        expect(page.locator(".sentence")).to_have_count(1)
        expect(page.locator(".turn")).to_have_attribute("aria-busy", "true")
        page.locator(".answer .marker").click()
        expect(page.locator("#passage mark")).to_be_in_viewport()
        chat.going_on.set()
        expect(page.locator(".sentence")).to_have_count(2)
        expect(page.locator(".turn")).not_to_have_attribute("aria-busy", "true")


def test_stop_ends_the_writing_and_keeps_what_was_checked(page: Page, site: Archive) -> None:
    chat = PausingChat()
    with written_by(site, chat):
        sign_in(page, site, site.ana)
        page.locator("#question").fill("What is the agreed purchase price?")
        page.locator("#ask").click()
        expect(page.locator(".sentence")).to_have_count(1)
        page.locator("#stop").click()

        expect(page.locator(".turn .status")).to_have_text("Stopped.")
        expect(page.locator(".answer")).to_contain_text("18 million euros")
        assert chat.left.wait(10)
        expect(page.locator("#ask")).to_be_visible()


# What a browser is told when the line breaks after the first event; a server that is gone is not asked again.
BROKEN_LINE = """
() => {
  const whole = window.fetch;
  const begun = new TextEncoder().encode('event: passages\\ndata: {"hits": []}\\n\\n');
  const broken = () => new ReadableStream({
    start: (controller) => controller.enqueue(begun),
    pull: (controller) => controller.error(new TypeError("network error")),
  }, { highWaterMark: 0 });
  window.fetch = async (path, options) => (path === "/v1/ask" ? new Response(broken()) : whole(path, options));
}
"""


def test_a_line_that_breaks_in_the_middle_is_told_and_the_next_question_can_be_asked(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ana)
    page.evaluate(BROKEN_LINE)
    page.locator("#question").fill("What is the agreed purchase price?")
    page.locator("#ask").click()

    expect(page.locator("#notice")).to_contain_text("broke off")
    expect(page.locator(".turn .status")).to_have_text("No answer.")
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator("#ask")).to_be_visible()
    page.locator("#question").fill("And who may know?")
    page.locator("#ask").click()
    expect(page.locator(".turn")).to_have_count(2)


def test_an_answer_that_quotes_wrote_in_place_of_a_model_says_so(page: Page, site: Archive) -> None:
    with written_by(site, ClosingChat([ModelFailed("unreachable", "vLLM cannot be reached.")])):
        sign_in(page, site, site.ana)
        ask(page, "What is the agreed purchase price?")

    expect(page.locator(".made")).to_contain_text("in place of the model, which failed")
    expect(page.locator(".answer")).to_contain_text("18 million euros")


def test_where_a_browser_has_no_clipboard_nothing_is_offered_to_be_copied(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ana)
    for offered in (1, 0):
        ask(page, "What is the agreed purchase price?")

        expect(page.get_by_role("button", name="Copy with sources")).to_have_count(offered)
        expect(page.get_by_role("button", name="Not helpful")).to_have_count(1)
        page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        page.reload()
        expect(page.locator("#sign-out")).to_be_visible()


def test_an_earlier_conversation_opens_again_and_can_be_forgotten(page: Page, site: Archive) -> None:
    key = site.web.key("user:carl")
    sign_in(page, site, key)
    ask(page, "How many days of annual leave do employees have?")
    ask(page, "Who are full-time employees?")
    page.reload()
    shelf(page)
    page.locator("#conversations .title").first.click()

    expect(page.locator(".turn")).to_have_count(2)
    expect(page.locator(".turn").first).to_contain_text("27 days")
    shelf(page)
    forget = page.locator("#conversations .forget").first
    forget.click()
    forget.click()
    expect(page.locator("#conversations li")).to_have_count(0)
    expect(page.locator(".turn")).to_have_count(0)


def test_an_earlier_answer_is_shown_as_long_as_its_documents_may_be_read(page: Page, site: Archive) -> None:
    site.web.add("salary.md", SALARY, "user:dora")
    sign_in(page, site, site.web.key("user:dora"))
    ask(page, "What is the minimum salary?")
    for lists, shown in ((AccessLists(frozenset({DORA})), True), (AccessLists(frozenset()), False)):
        site.web.administration.upload("handbook", "salary.md", SALARY, lists)
        page.reload()
        shelf(page)
        page.locator("#conversations .title").first.click()

        expect(page.locator(".turn")).to_have_count(1)
        expect(page.locator("#thread")).to_contain_text("3100" if shown else "no longer available")
        assert ("3100" in page.content()) == shown


def test_what_a_reader_thinks_of_an_answer_is_on_record(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ana)
    ask(page, "What is the agreed purchase price?")
    before = site.web.home.feedback.figures()
    page.get_by_role("button", name="Not helpful").click()

    expect(page.locator(".opinion [role=status]")).to_have_text("Thank you.")
    assert site.web.home.feedback.figures() != before


def test_an_error_stays_while_the_page_loads_what_nobody_asked_for(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ana)
    held: list[Route] = []
    page.route("**/v1/facets*", lambda route: held.append(route))
    page.evaluate(f"location.hash = '#key={site.ben}'")
    expect(page.locator("#person")).to_have_text("ben")
    page.evaluate(f"location.hash = '#document={site.merger}&version=1'")
    expect(page.locator("#notice")).to_contain_text("No document")

    for _ in range(2):
        with page.expect_response("**/v1/facets*"):
            while not held:
                page.wait_for_timeout(50)
            held.pop().continue_()

    expect(page.locator("#notice")).to_contain_text("No document")


def test_nothing_is_wider_than_the_screen(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ana)
    ask(page, "What is the agreed purchase price?")
    page.locator(".answer .marker").first.click()
    expect(page.locator("#passage")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_link_to_a_passage_opens_it_marked_for_whom_may_read_it(page: Page, site: Archive) -> None:
    text = site.web.home.gate.text(parse_principal("user:ana"), site.merger)[1]
    price = "18 million euros"
    start = text.index(price)
    link = f"#document={site.merger}&version=1&start={start}&end={start + len(price)}"
    for key, readable in ((site.ana, True), (site.ben, False)):
        sign_in(page, site, key)
        page.goto(f"{site.url}/{link}")

        if readable:
            expect(page.locator("#passage mark")).to_have_text(price)
        else:
            expect(page.locator("#notice")).to_contain_text("No document")
            expect(page.locator("#passage")).to_be_hidden()


def test_a_link_to_a_passage_of_an_older_version_says_that_the_document_has_changed(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ana)
    page.goto(f"{site.url}/#document={site.merger}&version=7&start=1&end=5")

    expect(page.locator("#passage-note")).to_contain_text("has changed")
    expect(page.locator("#passage mark")).to_have_count(0)


def test_an_administrator_sees_documents_come_in_and_what_failed_and_has_it_tried_again(
    page: Page, site: Archive, tmp_path: Path
) -> None:
    broken = f"{tmp_path.name}.pdf"
    (tmp_path / "good.md").write_text("# Good\n\nThe canteen opens at noon.\n")
    (tmp_path / broken).write_bytes(b"%PDF-1.7\nnothing of the kind")
    home = site.web.home
    Work(site.web.administration).add_source(SourceRequest(tmp_path.name, tmp_path, (), None, None, False))
    sign_in(page, site, site.web.key("user:root", (*PERSON_SCOPES, "admin")))
    open_view(page, "intake")
    row = page.locator("#intake li.source", has_text=tmp_path.name).first
    expect(row).to_contain_text("0 documents")

    _work_off(home)
    expect(row).to_contain_text("1 could not be read")
    failed = page.locator("#intake li.job", has_text=broken)
    expect(failed.locator(".cause")).not_to_be_empty()
    expect(row).to_contain_text("as it was")
    cause = page.locator("#intake li.cause-group", has_text=broken)
    expect(cause.locator(".where")).to_contain_text("anew")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Resume").click()
    expect(row.get_by_role("button", name="Sync now")).to_be_visible()
    cause.locator("summary").click()
    cause.get_by_role("button", name="Why").click()
    expect(cause).to_contain_text("it could not be read")
    failed.get_by_role("button", name="Try again").click()
    expect(failed.get_by_role("button", name="Put aside")).to_have_count(0)
    expect(failed.locator(".where")).to_contain_text("It waits for its turn")
    failed.get_by_role("button", name="Pause").click()
    expect(failed.locator(".where")).to_contain_text("It is paused")
    failed.get_by_role("button", name="Resume").click()
    expect(failed.get_by_role("button", name="Pause")).to_be_visible()
    _work_off(home)
    expect(failed.get_by_role("button", name="Put aside")).to_be_visible(timeout=15_000)
    failed.get_by_role("button", name="Put aside").click()
    expect(failed).to_have_count(0)
    row.get_by_role("button", name="Sync now").click()
    assert _until_queued(home)


def test_who_administers_nothing_is_not_offered_the_view(page: Page, site: Archive) -> None:
    sign_in(page, site, site.ana)

    expect(page.locator('[data-view="library"]')).to_be_visible()
    expect(page.locator('[data-view="intake"]')).to_be_hidden()


def _until_queued(home: Home) -> bool:
    """Whether a source is about to be looked at."""
    for _ in range(100):
        if count_jobs(home.catalog).get(("upkeep", "queued")) or count_jobs(home.catalog).get(("ingest", "queued")):
            return True
        time.sleep(0.1)
    return False


def _work_off(home: Home) -> None:
    while run_next(home, QUEUES):
        pass
