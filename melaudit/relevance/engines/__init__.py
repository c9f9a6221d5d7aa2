"""The engines that compute relevance, and the choice between them."""
