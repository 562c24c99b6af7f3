"""What a request called and what that cost, exactly, and everybody who is told of it: log, metrics, traces."""
