"""The ways in: from the bytes of a request to an accepted alert, or to every fault at once."""
