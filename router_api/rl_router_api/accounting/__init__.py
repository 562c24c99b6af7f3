"""What a request called and what that cost, exactly, and its recorders: log, metrics, traces."""
