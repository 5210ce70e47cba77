"""Question sets in, figures out: quality on labelled sets and speed beside peers."""
