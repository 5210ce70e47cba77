"""English that is known by its words alone: what the language model would have said, and never for another language."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference import language
from inference.language import detect

XQUAD = Path(__file__).resolve().parents[3] / "shared" / "eval" / "xquad" / "corpus.jsonl"


def test_plain_english_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_rank", lambda *_: pytest.fail("the model was asked"))

    assert detect("The finance team approves the travel that employees have been asked to book for their work.") == "en"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Das Team hat am Montag die neue Richtlinie für Dienstreisen beschlossen und an alle verschickt.", "de"),
        ("De leverancier heeft een nieuw contract gestuurd en wij hebben het vandaag aan de directie gegeven.", "nl"),
        ("Holdet har over en lang periode arbeidet med en plan for de ansatte og deres reiser i landet.", "no"),
        ("Le comité approuve le budget annuel et les dépenses de voyage avant la fin du trimestre en cours.", "fr"),
        ("Das Wort „the“ steht in diesem Satz, und „and the other“ steht hier auch noch daneben.", "de"),
    ],
)
def test_other_languages_are_left_to_the_model(text: str, code: str) -> None:
    assert detect(text) == code


@pytest.mark.skipif(not XQUAD.exists(), reason="the public sets are not beside this checkout")
def test_of_twelve_languages_only_english_is_plainly_english() -> None:
    lines = XQUAD.read_text("utf-8").splitlines()
    texts = [str(json.loads(line).get("text", "")) for line in lines]
    plain = [text for text in texts if language._dominant_script(text) == "LATIN" and language._plainly_english(text)]

    assert len(plain) > 50
    assert all(language._rank(text[:1000], language._LATIN)[0][0] == "en" for text in plain)
