"""The command `footnote`: words in, a home's answers out."""
