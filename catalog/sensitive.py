"""Where secrets and personal data stand in stored text, and whose groups see what."""
