"""A system that holds documents in, what changed there, its bytes and who may read them out; one file per system."""
