"""The worst outputs of a model, shown by the page in a real Chromium: nothing is fetched, nothing is a link."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from page_site import CHROMIUM, DESKTOP, Site, chromium, fresh_page, served
from playwright.sync_api import Page
from web_home import web_home
from worst_outputs import worst_outputs

from governance.safety.guard import Guard
from inference.hashing import HashingEncoder

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")
COUNT = 5_000

SHOW = """
async (outputs) => {
  const { Turn } = await import("/answers.js");
  for (const [number, text] of outputs.entries()) {
    const turn = new Turn(text, async (work) => work());
    document.body.append(turn.element);
    const citation = { marker: 1, document_id: "0", version: 1, source: text, external_id: text, uri: text, title: text,
      heading: [text], page: null, start: 0, end: 1, quote: text };
    turn.sentence({ text, citations: [citation] });
    if (number % 50 === 49) await new Promise(requestAnimationFrame);
  }
  const foreign = "a[href], img, script, iframe, object, embed, svg, video, audio, link, style, form, meta, base";
  return [...document.querySelectorAll(".turn")].filter((turn) => turn.querySelector(foreign)).length;
}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with web_home(tmp_path_factory.mktemp("outputs") / "home") as web, served(web) as url:
        yield Site(url, web)


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser, fresh_page(browser, DESKTOP) as opened:
        yield opened


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "even unguarded"])
def test_no_output_of_a_model_makes_the_page_fetch_anything_or_hold_a_link(
    page: Page, site: Site, guarded: bool
) -> None:
    guard = Guard(HashingEncoder(), None)
    outputs = [guard.sentence(text, "standard")[0] if guarded else text for text in worst_outputs(COUNT)]
    page.goto(site.url)
    page.wait_for_load_state("networkidle")
    page.evaluate('() => import("/answers.js")')
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))

    with_markup = page.evaluate(SHOW, outputs)
    page.wait_for_timeout(500)

    assert (with_markup, requested) == (0, [])
    assert page.locator(".turn").count() == COUNT
