"""staticify: a shared cache (RFC 9111) for WordPress whose store is a directory that the web server serves."""

__version__ = "0.1.0"
