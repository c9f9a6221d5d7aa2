"""Groups of images that are decided alike or look alike, and what may be claimed of them."""
