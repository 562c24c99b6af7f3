"""Listens, admits and answers: the endpoints, the HTTP towards clients, and what a serving process holds."""
