"""The internal format of requests and answers, which is independent of the dialects."""
