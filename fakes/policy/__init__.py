"""Small artefacts and requests for tests of the learned policy."""
