"""The command `rl-router`. It imports only the standard library, and each command only when it runs."""
