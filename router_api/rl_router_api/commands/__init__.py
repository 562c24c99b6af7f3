"""The commands of the router API. `main(arguments, prog)` of each module runs a command and returns its exit code."""
