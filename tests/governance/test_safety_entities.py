"""On a public set of personal data, what Footnote looks for is found whole, and next to nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

from governance.safety.sensitive import sensitive_spans

CATEGORIES = {
    "CREDIT_CARD": "pii.card",
    "IBAN_CODE": "pii.iban",
    "US_SSN": "pii.national_id",
    "EMAIL_ADDRESS": "pii.email",
    "PHONE_NUMBER": "pii.phone",
}


def test_cards_accounts_ids_addresses_and_telephone_numbers_of_a_public_set_are_found(eval_sets: Path) -> None:
    missed, wrong = [], []
    for line in (eval_sets / "pii_presidio" / "data.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        found = sensitive_spans(row["text"])
        wanted = [
            (CATEGORIES[one["type"]], one["start"], one["end"]) for one in row["spans"] if one["type"] in CATEGORIES
        ]
        for category, start, end in wanted:
            if not any((one.category, one.start <= start, end <= one.end) == (category, True, True) for one in found):
                missed.append(row["text"][start:end])
        for span in found:
            if not any(start < span.end and span.start < end for _, start, end in wanted):
                wrong.append(row["text"][span.start : span.end])

    assert (missed, len(wrong)) == ([], 1)
