"""Authentication of clients by API key, and the daily limits of API keys."""
