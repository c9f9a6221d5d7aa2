"""One file per detector; each turns measurements into findings."""
