"""What a report shows of single images, channels and groups."""
