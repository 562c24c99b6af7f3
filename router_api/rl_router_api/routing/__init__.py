"""A request's way: read, decided, called, chosen, replied."""
