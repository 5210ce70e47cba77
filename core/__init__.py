"""Words we all share: value types, errors, settings and telemetry; imports nothing of ours."""
