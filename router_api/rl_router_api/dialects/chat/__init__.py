"""The chat completions dialect of OpenAI."""
