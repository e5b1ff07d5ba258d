"""Reports, their comparison, the terminal's summary and the page."""
