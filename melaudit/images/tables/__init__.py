"""Tables about images: read, their columns told apart, and what users mark in them."""
