"""Every error Footnote raises on purpose, named by who acts next.

FootnoteError            anything else is a bug, and may be loud
├── WrongUsage           the caller acts: an argument or a file of rules makes no sense
│   └── Unauthenticated  the caller acts: no key, or one that is wrong, expired or revoked
├── Forbidden            an administrator acts: the caller is known and lacks a scope
├── NotFound             the caller acts: a wrong id, or not theirs to see (we do not say which)
├── Conflict             the operator acts: another writer, another version, a refused deletion
│   └── IndexDamaged     nobody acts: the index is not what was written, and is built anew from the catalog
├── UnreadableDocument   the document's owner acts: its bytes hold nothing we can index
├── LimitExceeded        the operator acts: a size, a budget, a rate
├── SourceRefused        the operator acts: a source does not let us in, or not far enough
├── Transient            time acts: a neighbour is down or busy
│   ├── ModelFailed      time acts: a language model is late, busy or gone; quotes answer in its place
│   └── LeaseLost        nobody acts: another worker has the job, and its result counts
└── AuditUnavailable     the operator acts: a record cannot be written, so nothing may be shown
"""

from __future__ import annotations

from typing import Literal, get_args

Verdict = Literal[
    "encrypted",
    "unsupported",
    "hostile",
    "timeout",
    "oom",
    "too_large",
    "crash",
    "partial",
    "empty",
    "malformed",
    "unreadable",
]
"""Why a document could not be read; the words of `failures[].verdict`."""

VERDICTS: tuple[str, ...] = get_args(Verdict)


ModelFailure = Literal["late", "unreachable", "busy", "left_out", "unfit", "refused", "broken"]
"""How a language model failed: too slow; not there; with all it can take; left out after failures; well, but with a
request that no model would take; refusing every request; broken off."""


class FootnoteError(Exception):
    """Every error we raise on purpose."""


class WrongUsage(FootnoteError):
    """What was asked makes no sense as asked; the message says what would."""


class Unauthenticated(WrongUsage):
    """Nobody we know: no credential, or one that is wrong, expired or revoked."""

    def __init__(self, reason: str = "a valid API key is needed") -> None:
        super().__init__(f"Not signed in: {reason}.")


class Forbidden(FootnoteError):
    """The caller is known and lacks what this needs."""

    def __init__(self, needs: str) -> None:
        super().__init__(f"This key lacks the scope {needs!r}; ask an administrator for a key that has it.")
        self.needs = needs


class NotFound(FootnoteError):
    """No such thing, or not the caller's to see; which of the two is never said."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"No {kind} {name!r} that you may read.")


class Conflict(FootnoteError):
    """The state of the home forbids this; the message says who or what, and the next step."""


class IndexDamaged(Conflict):
    """The index is not what was written, or an earlier version wrote it. The catalog has all that it holds."""


class UnreadableDocument(FootnoteError):
    """A document's bytes hold nothing we can index.

    `verdict` is the word for machines, `reason` the sentence for its owner.
    """

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict: Verdict = verdict
        self.reason = reason


class LimitExceeded(FootnoteError):
    """A size, a budget or a rate that the operator set was exceeded."""


class SourceRefused(FootnoteError):
    """A source of documents refused our credentials, or they lack a right; the message names the next step."""


class Transient(FootnoteError):
    """A neighbour is down or busy; the same call may succeed later."""


class ModelFailed(Transient):
    """A language model could not write, or not to the end. `kind` is the word for machines."""

    def __init__(self, kind: ModelFailure, message: str) -> None:
        super().__init__(message)
        self.kind: ModelFailure = kind


class LeaseLost(Transient):
    """The job is no longer this worker's, so nothing of it may be published; whoever has it now does."""

    def __init__(self, kind: str, job_id: str) -> None:
        super().__init__(f"The {kind} job {job_id} was taken from this worker; what it did for it is not published.")


class AuditUnavailable(FootnoteError):
    """An audit record could not be made durable, so no text may leave."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The audit record could not be written ({reason}); without a record nothing is answered or shown. "
            "Free disk space or repair the audit database, then ask again."
        )
