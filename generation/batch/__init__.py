"""A file of questions comes in; its rows are answered one by one, and a file of results goes out."""
