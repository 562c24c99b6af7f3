"""Makes the word embedding of the learned policy."""
