"""Routes a request: finds candidates, decides, calls targets, and chooses the answer."""
