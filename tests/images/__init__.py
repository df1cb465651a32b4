"""The image that a person flashes, booted through its real boot loaders in emulation (make test-image)."""
