"""What is to be done, who does it, and what became of it: the table of jobs."""
