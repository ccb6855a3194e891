"""The toolkit's version, which results and files carry."""

__version__ = "0.1.0"
