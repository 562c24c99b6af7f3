"""The spellings of a request field that has different names in different inference engines."""

OUTPUT_LIMITS = (
    "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "max_gen_len", "max_tokens_to_sample",
    "maxTokens", "maxOutputTokens", "n_predict", "num_predict",
)  # fmt: skip
"""The names of the field that limits the number of output tokens, in the spellings of different inference engines."""
