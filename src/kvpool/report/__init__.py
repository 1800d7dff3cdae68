"""Pictures of replays: a page for the browser, and a PNG."""

from kvpool.report.page import write_page
from kvpool.report.png import write_png

__all__ = ["write_page", "write_png"]
