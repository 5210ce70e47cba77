"""The guard before retrieval and after writing: a question or a sentence in; what was found in it, and what may leave.

Its findings name categories and never the text they were found in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from governance.safety.harm import HarmProbe
from governance.safety.injection import planted_instruction
from governance.safety.links import inert
from governance.safety.sensitive import Policy, mask, masked_categories, sensitive_spans
from inference.encoder import Encoder

Action = Literal["allow", "mark", "redact", "block"]
"""From what changes nothing to what lets nothing leave."""

_SEVERITY: tuple[Action, ...] = ("allow", "mark", "redact", "block")


@dataclass(frozen=True)
class Finding:
    """What was found: `harm`, `injection`, `link`, `pii.…` or `secret.…`; and what was done about it."""

    category: str
    action: Action


@dataclass(frozen=True)
class Guard:
    """Detectors over questions and sentences. `probe` is None where no probe reads the encoder's vectors."""

    encoder: Encoder
    probe: HarmProbe | None

    def question(self, text: str) -> tuple[Finding, ...]:
        """What a question asks for; a `block` means that nothing may be retrieved for it.

        An instruction to the machine is marked only: the passages are its asker's own, and no more obeys it.
        """
        found = []
        if self.probe is not None and self.probe.score(text, self.encoder) >= self.probe.threshold:
            found.append(Finding("harm", "block"))
        if planted_instruction(text):
            found.append(Finding("injection", "mark"))
        return tuple(found)

    def sentence(self, text: str, policy: Policy, cited: Collection[str] = ()) -> tuple[str, tuple[Finding, ...]]:
        """The sentence as it may leave, and why it was changed; a `block` means that it may not.

        What `policy` masks is masked in place; links stay only to the addresses in `cited`. A sentence that speaks
        to a machine was planted, so it is blocked.
        """
        if planted_instruction(text):
            return "", (Finding("injection", "block"),)
        spans = masked_categories(policy, sensitive_spans(text))
        masked = mask(text, spans)
        shown = inert(masked, cited)
        found = [Finding(category, "redact") for category in dict.fromkeys(span.category for span in spans)]
        if shown != masked:
            found.append(Finding("link", "redact"))
        return shown, tuple(found)


def severest(actions: Collection[Action]) -> Action:
    """The most that was done; `allow` where nothing was."""
    return max(actions, key=_SEVERITY.index, default="allow")
