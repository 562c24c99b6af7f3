"""The internal request and answer, which every room above works on."""
