"""Who may see what, and what was done: identity, access, audit."""
