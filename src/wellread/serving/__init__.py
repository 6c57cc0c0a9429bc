"""Modules behind HTTP: one queue of texts, and the routes that clients of others know."""
