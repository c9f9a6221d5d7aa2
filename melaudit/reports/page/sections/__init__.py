"""One module per section of the page: what it shows, as ready strings and picture ids."""
