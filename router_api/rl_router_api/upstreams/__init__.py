"""The router model and the targets: how they are reached, asked and heard, and how they have been lately."""
