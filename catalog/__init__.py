"""The record of truth in SQL."""
