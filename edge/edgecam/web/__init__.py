"""The page, its streams and its numbers, served from a thread beside the loop. Needs the extra `web`."""
