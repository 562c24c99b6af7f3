"""Routes a request: candidates, decisions, calls, and the choice of the answer."""
