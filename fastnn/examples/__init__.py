"""Complete programs, short enough to read and to start from."""
