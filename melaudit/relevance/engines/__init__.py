"""The engines that compute relevance, and which one is chosen."""
