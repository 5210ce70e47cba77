"""Texts in, vectors and tokens out."""
