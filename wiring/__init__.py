"""Settings in, real parts out: the only room that builds them."""
