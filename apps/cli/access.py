"""Commands on who may read a document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from apps.administration import Administration
from apps.cli.shell import AsJson, administration, emit, opened_home, say, warn_unknown
from core.errors import WrongUsage
from core.principals import Grantee, parse_grantee
from governance.access.explain import Explanation

app = typer.Typer(no_args_is_help=True)

Whom = Annotated[str, typer.Argument(metavar="PRINCIPAL", help="user:ID, group:ID or everyone.")]
Which = Annotated[str, typer.Argument(metavar="DOCUMENT", help="Document id, external id, or SOURCE:EXTERNAL_ID.")]


@app.command()
def grant(principal: Whom, document: Which, as_json: AsJson = False) -> None:
    """Let somebody read a document; takes back an earlier revoke. Holds from the next question on."""
    _do(principal, as_json, lambda administration, grantee: administration.grant(grantee, document))


@app.command()
def revoke(principal: Whom, document: Which, as_json: AsJson = False) -> None:
    """Take a document from somebody. Holds from the next question on."""
    _do(principal, as_json, lambda administration, grantee: administration.revoke(grantee, document))


@app.command()
def explain(principal: Whom, document: Which, as_json: AsJson = False) -> None:
    """Whether somebody may read a document, and the rule that decided."""
    _do(principal, as_json, lambda administration, grantee: administration.explain(grantee, document))


@app.command()
def show(
    principal_or_document: Annotated[list[str], typer.Argument(metavar="[PRINCIPAL] DOCUMENT")], as_json: AsJson = False
) -> None:
    """The allow and deny lists of a document, and, with a PRINCIPAL before it, what they mean for them."""
    *whom, document = principal_or_document
    if len(whom) > 1:
        raise WrongUsage("`access show` takes one document and at most one principal before it.")
    _do(
        whom[0] if whom else "everyone",
        as_json,
        lambda administration, grantee: administration.explain(grantee, document),
    )


def _do(principal: str, as_json: bool, act: Callable[[Administration, Grantee], Explanation]) -> None:
    grantee = parse_grantee(principal)
    with opened_home() as home:
        warn_unknown(home, [grantee])
        found = act(administration(home), grantee)

    def render() -> None:
        say(f"{found.grantee} {'may' if found.allowed else 'may not'} read {found.document_id}.")
        say(f"decided by: {found.rule}")
        say(f"allow: {' '.join(found.allow) or 'nobody'}")
        say(f"deny:  {' '.join(found.deny) or 'nobody'}")

    emit(as_json, vars(found), render)
