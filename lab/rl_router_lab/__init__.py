"""The lab: makes and evaluates the artefacts of the learned policy."""
