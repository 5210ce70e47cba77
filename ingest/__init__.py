"""A source's bytes in, chunks and vectors out."""
