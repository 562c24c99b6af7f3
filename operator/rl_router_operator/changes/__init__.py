"""Pure functions that compute actions from desired and live objects."""
