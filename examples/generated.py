"""The documents that come in series, written from the facts and templates in `series/` and a fixed seed."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml
from rendering import render_html

SERIES_FOLDER = Path(__file__).parent / "series"
PEOPLE = Path(__file__).parent / "people.yaml"
Facts = dict[str, Any]
Documents = Iterator[tuple[str, bytes]]

MANAGEMENT = ("ciara", "ana", "dmitri", "eva", "farid", "grace", "hugo", "marta", "victor")
FIRST_MEETING_2026 = date(2026, 1, 6)


@dataclass(frozen=True)
class Office:
    """What a series is written from: who works here, the facts of each series, and a chance of its own."""

    names: dict[str, str]
    chance: random.Random

    def facts(self, series: str) -> list[Facts]:
        """The entries of `series/<series>.yaml`, in their order."""
        entries: list[Facts] = yaml.safe_load((SERIES_FOLDER / f"{series}.yaml").read_text(encoding="utf-8"))
        return entries

    def working_day(self) -> str:
        """Some day from Monday to Friday in the first nine months of 2026."""
        return day(date(2026, 1, 12) + timedelta(weeks=self.chance.randrange(37), days=self.chance.randrange(5)))


def page(template: str, /, **values: Any) -> bytes:
    """`series/templates/<template>` with its gaps filled."""
    return (SERIES_FOLDER / "templates" / template).read_text(encoding="utf-8").format(**values).encode()


def day(when: date) -> str:
    """3 February 2026: the way dates are written in the company's prose."""
    return f"{when.day} {when:%B %Y}"


def lasting(minutes: int) -> str:
    """A duration in the unit that a reader would choose."""
    if minutes < 180:
        return f"{minutes} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 2 * 24 * 60 else f"{minutes / 60 / 24:.0f} days"


def slug(name: str) -> str:
    """A name as a file's: small letters, hyphens, nothing but ASCII."""
    letters: dict[str, str | int | None] = {" ": "-", "ä": "ae", "ô": "o", "í": "i", "é": "e", ".": None}
    return name.lower().translate(str.maketrans(letters))


def table(header: str, rows: list[list[Any]]) -> bytes:
    """A CSV file with `header`'s comma-separated columns."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return written.getvalue().encode()


def runbooks(office: Office) -> Documents:
    """How to act on an alert, one page each."""
    openings = ("Use this runbook when", "You are here because", "This page helps when")
    for fact in office.facts("runbooks"):
        alert, _, use = fact["alert"].partition("none, ")
        yield (
            f"engineering/runbooks/{fact['id']}.md",
            page(
                "runbook.md",
                **fact,
                person=office.names[fact["owner"]],
                occasion=f"There is no alert for this runbook; {use}"
                if use
                else f"{office.chance.choice(openings)} {alert}",
                numbered="\n".join(f"{number}. {step}" for number, step in enumerate(fact["steps"], 1)),
                tried=office.working_day(),
            ),
        )


def postmortems(office: Office) -> Documents:
    """What went wrong, and what was changed."""
    for fact in office.facts("postmortems"):
        yield (
            f"engineering/postmortems/{fact['date']}-{fact['id']}.md",
            page(
                "postmortem.md",
                **fact,
                person=office.names[fact["author"]],
                began=day(fact["date"]),
                duration=f"It lasted {lasting(fact['minutes'])}. " if fact["minutes"] else "",
                detection=office.chance.choice(("It was noticed by", "We learned of it from")),
                due=day(fact["date"] + timedelta(days=office.chance.choice((28, 35, 42, 56)))),
            ),
        )


def contracts(office: Office) -> Documents:
    """What was agreed with each supplier, summed up for those who have to end or extend it."""
    renewals = (
        "Without notice the contract with {supplier} is prolonged by twelve months.",
        "The contract with {supplier} ends by itself and is not prolonged.",
        "The contract with {supplier} can be prolonged once, by 24 months, in writing.",
    )
    for fact in office.facts("contracts"):
        yield (
            f"legal/contracts/{slug(fact['supplier'])}.md",
            page(
                "contract.md",
                **fact,
                person=office.names[fact["owner"]],
                began=day(fact["start"]),
                ends=day(fact["end"]),
                renewal=office.chance.choice(renewals).format(supplier=fact["supplier"]),
                payment=office.chance.choice((14, 30, 45)),
            ),
        )


def account_plans(office: Office) -> Documents:
    """What sales knows about each large customer."""
    for fact in office.facts("accounts"):
        person, renewed = office.names[fact["owner"]], day(fact["renewal"])
        content = page("account.md", **fact, person=person, renewed=renewed, visited=office.working_day())
        yield f"sales/accounts/{slug(fact['customer'])}.md", content


def help_articles(office: Office) -> Documents:
    """The pages that customers and support engineers read."""
    for fact in office.facts("kb"):
        source = page("article.md", **fact, person=office.names[fact["by"]], checked=office.working_day())
        yield f"support/articles/{fact['id']}.html", render_html(source.decode())


def job_advertisements(office: Office) -> Documents:
    """The open positions."""
    for fact in office.facts("jobs"):
        yield f"hr/jobs/{fact['id']}.md", page("job.md", **fact, person=office.names[fact["manager"]])


def release_notes(office: Office) -> Documents:
    """What is new in each release, as plain text for the mailing list."""
    for fact in office.facts("releases"):
        title = f"{fact['product']} {fact['version']}"
        content = page(
            "release.txt",
            title=title,
            heading=title.upper(),
            released=day(fact["date"]),
            person=office.names[fact["by"]],
            bullets="\n".join(f"  * {point}" for point in fact["points"]),
        )
        yield f"product/releases/{title.lower().replace(' ', '-')}.txt", content


def all_hands(office: Office) -> Documents:
    """The monthly meeting of everybody."""
    for fact in office.facts("all_hands"):
        content = page("all-hands.md", **fact, held=day(fact["date"]), present=office.chance.randrange(118, 171))
        yield f"minutes/all-hands/{fact['date']}.md", content


def management_minutes(office: Office) -> Documents:
    """The weekly meetings of the management team: figures, talk, and one decision each."""
    for number, fact in enumerate(office.facts("decisions")):
        when = FIRST_MEETING_2026 + timedelta(weeks=number)
        absent = office.chance.choice(MANAGEMENT[1:])
        present = [office.names[person] for person in MANAGEMENT if person != absent]
        content = page(
            "management.md",
            **fact,
            person=office.names[fact["owner"]],
            held=day(when),
            present=", ".join(present),
            absent=office.names[absent],
            orders=office.chance.randrange(610, 940) * 1000,
            week=when.isocalendar().week - 1,
            punctual=office.chance.randrange(930, 992) / 10,
            critical=office.chance.randrange(2, 15),
            said="\n\n".join(discussion(office, present)),
        )
        yield f"minutes/management/{when}.md", content


def discussion(office: Office, present: list[str]) -> Iterator[str]:
    """Two things that those present talked about."""
    for line in office.chance.sample(office.facts("talk"), 2):
        first, second = office.chance.sample(present, 2)
        yield line["text"].format(
            first=first,
            second=second,
            number=office.chance.randrange(4, 9),
            city=office.chance.choice(("Graz", "Porto", "Leuven", "Malmö", "Nantes", "Turin", "Ghent")),
        )


def price_lists(office: Office) -> Documents:
    """List prices by quarter and currency, as sales systems import them."""
    items = {
        "S1-120": ("Rime S1 single-use logger", 14.50),
        "R2-BLE": ("Rime R2 reusable logger", 89.00),
        "C3-CRY": ("Rime C3 cryogenic logger", 240.00),
        "G4-LTE": ("Fell G4 gateway", 640.00),
        "BC-SUB": ("Beck Cloud per active logger and month", 3.20),
        "CAL-R2": ("Recalibration of a Rime R2", 34.00),
        "CAL-C3": ("Recalibration of a Rime C3", 79.00),
    }
    # The Rime S1 follows the price of cells each quarter; everything else changes once a year.
    single_use = {"2025-q4": 13.90, "2026-q1": 14.10, "2026-q2": 14.30, "2026-q3": 14.40, "2026-q4": 14.50}
    for quarter, single_use_price in single_use.items():
        for currency, rate in (("EUR", 1.0), ("GBP", 0.86)):
            rows = [
                [number, title, f"{(single_use_price if number == 'S1-120' else price) * rate:.2f}", currency]
                for number, (title, price) in items.items()
            ]
            yield f"sales/price-lists/{quarter}-{currency.lower()}.csv", table("item,description,price,currency", rows)


def cost_reports(office: Office) -> Documents:
    """What the sites cost, month by month."""
    sites = {"Cork": 61_000, "Brno": 148_000, "Berlin": 34_500, "Lyon": 19_800}
    for month in range(1, 11):
        rows = []
        for site, usual in sites.items():
            for kind, share in (("rent", 0.42), ("energy", 0.27), ("cleaning", 0.06), ("repairs", 0.08)):
                swing = 1.0 if kind == "rent" else office.chance.uniform(0.85, 1.2)
                rows.append([f"2026-{month:02}", site, kind, round(usual * share * swing)])
        yield f"finance/costs/2026-{month:02}.csv", table("month,site,kind,amount_eur", rows)


def ticket_exports(office: Office) -> Documents:
    """The tickets that support closed in each month."""
    subjects = {
        "Rime R2": ("Error E07 after long shipment", "Humidity too high", "Battery exchange question", "Pairing fails"),
        "Rime S1": ("Does not start", "PDF not found on drive", "Recording stopped early"),
        "Fell G4": ("Orange light", "Hears few loggers", "Antenna broken", "Lost contact near border"),
        "Beck Cloud": ("Alarm to wrong person", "Export in other language", "Second factor reset", "Late report"),
        "Scree": ("Cannot scan in cold store", "Crash at start", "Signature missing"),
    }
    colleagues = [office.names[colleague] for colleague in ("julie", "brian", "karim", "zofia")]
    customers = [fact["customer"] for fact in office.facts("accounts")]
    number = 41_200
    for month in range(1, 11):
        rows = []
        for opened in sorted(date(2026, month, office.chance.randrange(1, 27)) for _ in range(24)):
            number += office.chance.randrange(3, 40)
            product = office.chance.choice(list(subjects))
            subject = office.chance.choice(subjects[product])
            hours = round(office.chance.lognormvariate(1.6, 0.9), 1)
            customer, closer = office.chance.choice(customers), office.chance.choice(colleagues)
            rows.append([f"T-{number}", opened, customer, product, subject, closer, hours])
        header = "ticket,opened,customer,product,subject,closed_by,hours_to_close"
        yield f"support/tickets/2026-{month:02}.csv", table(header, rows)


SERIES: dict[str, Callable[[Office], Documents]] = {
    "runbooks": runbooks,
    "postmortems": postmortems,
    "contracts": contracts,
    "accounts": account_plans,
    "articles": help_articles,
    "jobs": job_advertisements,
    "releases": release_notes,
    "all-hands": all_hands,
    "management": management_minutes,
    "prices": price_lists,
    "costs": cost_reports,
    "tickets": ticket_exports,
}


def documents() -> Documents:
    """Every document of every series: its path in the organization, and its bytes.

    Each series has a chance of its own, so that a change to one leaves the others as they were.
    """
    people = yaml.safe_load(PEOPLE.read_text(encoding="utf-8"))["people"]
    names = {person: facts["name"] for person, facts in people.items()}
    for series, write in SERIES.items():
        yield from write(Office(names, random.Random(series)))
