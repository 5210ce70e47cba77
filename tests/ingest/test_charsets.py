"""Text is read in the encoding that it is in, whatever it says and whether it says anything."""

from __future__ import annotations

import random

import pytest

from core.errors import UnreadableDocument
from ingest.parsing.charsets import looks_like_text
from ingest.parsing.formats import parse

TEXTS = {
    "ja": "有給休暇は年に二十日です。申請は上長に提出してください。病気の場合は当日の朝までに連絡が必要です。",
    "ko": "연차 휴가는 일 년에 이십 일입니다. 신청서는 팀장에게 제출해 주시기 바랍니다.",
    "zh": "每年有二十天的带薪休假。请向主管提交申请。生病时需要在当天早上之前联系。",
    "zh-tw": "每年有二十天的帶薪休假。請向主管提交申請。生病時需要在當天早上之前聯繫。",
    "ru": "Ежегодный отпуск составляет двадцать дней. Заявление подают руководителю отдела заранее.",
    "el": "Η ετήσια άδεια είναι είκοσι ημέρες. Η αίτηση υποβάλλεται στον προϊστάμενο.",
    "de": "Der Jahresurlaub beträgt zwanzig Tage – „spätestens“ im März zu beantragen, 20 €.",
    "cs": "Dovolená činí dvacet dní. Žádost je třeba podat vedoucímu včas, nejpozději měsíc předem.",
    "tr": "Yıllık izin yirmi gündür. Başvuru yöneticiye önceden yapılmalıdır. Işık ve çığ.",
    "he": "חופשה שנתית היא עשרים ימים. יש להגיש בקשה למנהל מראש.",
    "ar": "الإجازة السنوية عشرون يومًا. يجب تقديم الطلب إلى المدير مسبقًا.",
}
ENCODINGS = [
    *(("ja", "shift_jis"), ("ja", "euc_jp"), ("ja", "iso2022_jp"), ("ko", "euc_kr"), ("zh", "gb18030")),
    *(("zh-tw", "big5"), ("ru", "cp1251"), ("ru", "koi8-r"), ("ru", "iso8859-5"), ("ru", "cp866"), ("el", "cp1253")),
    *(("de", "cp1252"), ("cs", "cp1250"), ("cs", "iso8859-2"), ("tr", "cp1254"), ("he", "cp1255"), ("ar", "cp1256")),
    *((language, "utf-16-le") for language in TEXTS),
    *((language, "utf-16-be") for language in TEXTS),
]


@pytest.mark.parametrize(("language", "encoding"), ENCODINGS)
def test_plain_text_is_read_in_the_encoding_that_it_shows(language: str, encoding: str) -> None:
    text = TEXTS[language] + "\n\n" + TEXTS[language]
    assert parse(text.encode(encoding), "note.txt").text == text


def test_bytes_that_are_no_text_do_not_pass_for_any() -> None:
    noise = random.Random(3)
    assert not any(looks_like_text(noise.randbytes(1024)) for _ in range(500))
    with pytest.raises(UnreadableDocument, match="binary"):
        parse(noise.randbytes(4096), "note.txt")


def test_words_of_eight_bits_are_not_taken_for_chinese() -> None:
    assert parse(b"Bush hid the facts", "note.txt").text == "Bush hid the facts"
