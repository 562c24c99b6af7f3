"""The commands of the router API: `main(arguments, prog)` of each module runs one and returns its exit code."""
