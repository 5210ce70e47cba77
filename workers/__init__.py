"""The same rooms, on workers: empty in this version, where ingestion runs in the process that was asked for it."""
