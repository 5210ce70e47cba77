"""Batches of questions, their rows, and what was answered."""
