"""A question and a principal in, ranked passages that principal may read out."""
