"""Text in, spans out: where secrets and personal data stand, of which category, and what of them a policy masks."""

from core.answers import Span
from governance.safety.sensitive.detection import DETECTOR, sensitive_spans
from governance.safety.sensitive.masking import MASK, Policy, mask, masked_categories

__all__ = ["DETECTOR", "MASK", "Policy", "Span", "mask", "masked_categories", "sensitive_spans"]
