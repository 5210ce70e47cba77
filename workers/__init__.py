"""The same rooms, later: claims a job, calls a room."""
