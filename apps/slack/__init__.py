"""Slack in, answers out: to each person under their own rights, to a channel only what all of it may read."""
