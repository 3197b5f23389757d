"""What is seen in a browser? The studies of a storage, live; a stopped one resumes from there."""

from reports.dashboard.server import app, serve

__all__ = ["app", "serve"]
