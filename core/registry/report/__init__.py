"""A run as one HTML file that needs nothing else: for those who decide and those who ask later."""

from core.registry.report.page import render

__all__ = ["render"]
