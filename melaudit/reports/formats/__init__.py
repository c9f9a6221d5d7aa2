"""One file per output format besides the HTML report; `interface` says what a format is."""
