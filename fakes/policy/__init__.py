"""Small artefacts for tests, whose predictions are known."""
