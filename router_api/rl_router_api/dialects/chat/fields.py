"""The spellings of chat completion fields that inference engines accept, and that the router reads or sets."""

OUTPUT_LIMITS = (
    "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "max_gen_len", "max_tokens_to_sample",
    "maxTokens", "maxOutputTokens", "n_predict", "num_predict",
)  # fmt: skip
"""The spellings of the field that limits the number of output tokens."""
