"""Where the bytes of an image are: a file, a part of one, or an object behind an address."""
