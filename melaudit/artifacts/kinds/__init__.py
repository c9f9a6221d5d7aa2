"""One file per artifact: each can be found, put in, taken out and imitated."""
