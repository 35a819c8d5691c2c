"""Keeps type imports of functions written for AWS working; a copy in the function's own code comes first."""
