"""Which Slack account belongs to which principal, and which events were seen."""
