"""The guest side of firelet's Python runtime.

Every module here but `bootstrap` is loaded on first need, and none imports more of the standard library than it must.
"""
