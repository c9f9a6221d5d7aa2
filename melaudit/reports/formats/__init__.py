"""One file per output format besides the page."""
