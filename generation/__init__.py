"""A question and passages in, a verified answer out."""
