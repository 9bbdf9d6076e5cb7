"""The event contract: models, the decoder derived from them, and the reasons for rejecting a message."""
