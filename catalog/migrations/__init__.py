"""How the catalog came to its present shape, one step a file."""
