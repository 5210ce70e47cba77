"""Conversations, their turns (encrypted), and what people said of answers."""
