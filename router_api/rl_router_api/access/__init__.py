"""Who may use the server, and how much each key may use in a day."""
