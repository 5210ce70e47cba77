"""HTTP requests come in, what the rooms say of them goes out; nothing is decided here."""
