"""What several tests of ingestion stand on."""

from mirrored_papers import source, system

__all__ = ["source", "system"]
