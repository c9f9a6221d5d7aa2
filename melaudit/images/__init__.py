"""Image files and tables: found, decoded, described and preprocessed."""
