"""The commands of the router API. Each module has a function `main`, which runs a command and returns its exit code."""
