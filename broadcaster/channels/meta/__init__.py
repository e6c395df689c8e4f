"""What Meta's networks share: Graph's envelope, calls with a token that is renewed, two steps."""
