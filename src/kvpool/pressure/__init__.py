"""Room made before it is needed."""

from kvpool.pressure.background_evictor import BackgroundEvictor

__all__ = ["BackgroundEvictor"]
