"""Do maps lie where the thing is: boxes, masks and points, each figure with its interval."""
