"""The version of wellread, as files that it writes say it."""

__version__ = "0.1.0"
