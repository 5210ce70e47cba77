"""A document's bytes in, its clean text and blocks out; what cannot be read becomes a named verdict."""
