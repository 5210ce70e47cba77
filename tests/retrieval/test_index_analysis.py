"""Text analysis: what a word is found by."""

from __future__ import annotations

import pytest

from inference.language import detect
from retrieval.analysis import index_terms, query_terms


def matches(query: str, text: str, asked_in: str = "en", written_in: str = "en") -> float:
    """The part of a query's weight that a text answers."""
    terms, _ = index_terms(text, written_in)
    wanted = query_terms(query, asked_in)
    return sum(weight for term, weight in wanted if term in terms) / sum(weight for _, weight in wanted)


@pytest.mark.parametrize(
    ("query", "text", "language"),
    [
        ("employees", "The employee signs.", "en"),
        ("Kündigungen", "Die Kündigung ist schriftlich.", "de"),
        ("contratos", "El contrato vence.", "es"),
        ("договоры", "Срок действия договора.", "ru"),
        ("الموظفين", "يحق لكل موظف", "ar"),
        ("belgeler", "Bu belge gizlidir.", "tr"),
    ],
)
def test_an_inflected_word_is_found_in_its_language(query: str, text: str, language: str) -> None:
    assert matches(query, text, language, language) >= 0.45


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("2041", "Incident INC-2041 was closed."),
        ("INC-2041", "incident inc-2041 was closed"),
        ("batch size", "set maxBatchSize first"),
        ("max_batch_size", "max_batch_size = 4"),
        ("ana@example.org", "write to ana@example.org."),
        ("v1.2.3", "fixed in v1.2.3"),
        ("HTTP server", "class HTTPServer"),
        ("Zurich", "Büro in Zürich"),
        ("ＷＩＦＩ", "the wifi password"),
        ("cafe\u0301", "caf\u00e9"),
        ("weiß", "WEISS"),
        ("東京", "東京都庁"),
        ("กรุงเทพ", "ที่กรุงเทพมหานคร"),
        ("นโยบาย", "นโยบายการลา"),
        ("co\u00adoperation", "cooperation"),
    ],
)
def test_spellings_of_the_same_thing_find_each_other(query: str, text: str) -> None:
    assert matches(query, text) == 1.0


def test_an_identifier_matches_itself_better_than_one_that_shares_its_parts() -> None:
    assert matches("INC-2041", "INC-2041") > matches("INC-2041", "INC-17 and 2041") > 0


def test_a_word_is_found_even_where_its_language_was_guessed_wrong() -> None:
    assert matches("Kündigungsfrist", "Die Kündigungsfrist", asked_in="en", written_in="de") > 0
    assert matches("Kündigungsfrist", "Die Kündigungsfrist", asked_in="de", written_in="de") == 1.0


def test_a_question_of_nothing_but_function_words_still_looks_for_them() -> None:
    assert query_terms("to be or not to be", "en")
    assert [term for term, _ in query_terms("what is the policy", "en")] == ["fpolicy", "spolici"]


def test_a_chunk_is_as_long_as_it_has_words() -> None:
    assert index_terms("Three plain words", "en")[1] == 3
    assert index_terms("...!?", "en")[1] == 0


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I reset my password?", "en"),
        ("Wie lange gilt der Vertrag?", "de"),
        ("¿Cuándo vence el contrato de alquiler?", "es"),
        ("Кто подписывает договор?", "ru"),
        ("من يوقع العقد؟", "ar"),
        ("अनुबंध कौन करता है?", "hi"),
        ("合同什么时候到期？", "zh"),
        ("契約はいつ終わりますか", "ja"),
        ("계약은 언제 끝납니까?", "ko"),
        ("สัญญาหมดอายุเมื่อไร", "th"),
        ("Πότε λήγει η σύμβαση;", "el"),
        ("Hợp đồng hết hạn khi nào?", "vi"),
        ("Contractul expiră în luna mai?", "ro"),
        ("Sözleşme ne zaman bitiyor?", "tr"),
        ("INC-2041", "en"),
        ("vpn", "en"),
        ("", "en"),
    ],
)
def test_the_language_of_a_question_is_told(text: str, language: str) -> None:
    assert detect(text) == language
