"""Text in, verdicts out: what a passage, a question or an answer holds that must not act or must not be shown."""
