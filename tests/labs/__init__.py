"""Labs: each is one situation in an office's life, drawn first, then played with real packets."""
