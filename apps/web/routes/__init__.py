"""The endpoints, a file per subject; each says who may call it."""
