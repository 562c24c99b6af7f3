"""Authentication of clients, and the daily limits of their keys."""
