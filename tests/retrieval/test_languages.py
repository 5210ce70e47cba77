"""The twenty languages that open models were first trained on: told apart, and their inflections found."""

from __future__ import annotations

import pytest

from inference.language import detect
from retrieval.analysis import index_terms, query_terms

# For each language a question, and two forms of one word, as a question and a document have it.
LANGUAGES = {
    "bg": ("Колко дни отпуск имам право да ползвам?", "договорите", "договорът"),
    "ca": ("Quants dies de vacances tenen els treballadors?", "contractes", "contracte"),
    "cs": ("Kolik dní dovolené mají zaměstnanci?", "smlouvy", "smlouva"),
    "da": ("Hvor mange feriedage har medarbejderne?", "kontrakterne", "kontrakt"),
    "de": ("Wie viele Urlaubstage haben die Mitarbeiter?", "Verträgen", "Verträge"),
    "en": ("How many days of leave do employees have?", "contracts", "contract"),
    "es": ("¿Cuántos días de vacaciones tienen los empleados?", "contratos", "contrato"),
    "fr": ("Combien de jours de congé ont les employés ?", "contrats", "contrat"),
    "hr": ("Koliko dana godišnjeg odmora imaju zaposlenici?", "ugovorima", "ugovora"),
    "hu": ("Hány nap szabadsága van a dolgozóknak?", "szerződések", "szerződés"),
    "it": ("Quanti giorni di ferie hanno i dipendenti?", "contratti", "contratto"),
    "nl": ("Hoeveel vakantiedagen hebben de werknemers?", "contracten", "contract"),
    "pl": ("Ile dni urlopu mają pracownicy?", "umowy", "umowa"),
    "pt": ("Quantos dias de férias têm os funcionários?", "contratos", "contrato"),
    "ro": ("Câte zile de concediu au angajații?", "contractele", "contract"),
    "ru": ("Сколько дней отпуска у сотрудников?", "договоры", "договора"),
    "sl": ("Koliko dni dopusta imajo zaposleni?", "pogodbami", "pogodba"),
    "sr": ("Колико дана годишњег одмора имају запослени?", "уговорима", "уговора"),
    "sv": ("Hur många semesterdagar har de anställda?", "avtalen", "avtal"),
    "uk": ("Скільки днів відпустки мають працівники?", "договорів", "договір"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_told_and_the_forms_of_a_word_share_its_stem(language: str) -> None:
    question, asked, written = LANGUAGES[language]
    there, _ = index_terms(written, language)
    stems = [term for term, _ in query_terms(asked, language) if term[0] == "s"]

    assert detect(question) == language
    assert stems and all(stem in there for stem in stems)


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("bg", "служител служителят служителя служители служителите"),
        ("bg", "компания компанията компании компаниите"),
        ("bg", "нов нова ново нови новият новия"),
        ("sl", "delavec delavca delavci delavcev"),
        ("sl", "zaposleni zaposlenih zaposlenega zaposlenemu"),
        ("uk", "відпустка відпустки відпустку відпусток"),
        ("uk", "компанія компанії компанію компаній"),
        ("uk", "новий нового новому нова нової"),
    ],
)
def test_the_forms_of_a_word_without_a_snowball_algorithm_have_one_stem(language: str, forms: str) -> None:
    stems = {term for form in forms.split() for term in index_terms(form, language)[0] if term[0] == "s"}
    assert len(stems) == 1


def test_serbian_is_found_in_the_other_alphabet_and_by_a_croat() -> None:
    there, _ = index_terms("Уговори о раду", "sr")
    assert "sugovor" in there
    assert "sugovor" in dict(query_terms("ugovorima", "hr"))


def test_a_short_word_keeps_what_would_leave_nothing_of_it() -> None:
    for language, word in (("bg", "еви"), ("sl", "mama"), ("uk", "ами")):
        assert all(len(term) >= 4 for term in index_terms(word, language)[0])


def test_a_part_of_a_compound_is_found() -> None:
    there, _ = index_terms("Die Kündigungsfristen sind einzuhalten.", "de")
    shared = [term for term, _ in query_terms("Frist", "de") if term in there]
    assert shared
    assert not [term for term, _ in query_terms("Urlaub", "de") if term in there]


def test_a_word_without_spaces_around_it_is_found_in_thai() -> None:
    there, _ = index_terms("พนักงานลาป่วยได้สามสิบวัน", "th")
    assert all(term in there for term, _ in query_terms("ลาป่วย", "th"))
