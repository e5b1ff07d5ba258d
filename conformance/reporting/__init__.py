"""Reports, the terminal, the page."""
