"""The dialect for OpenAI's chat completions API."""
