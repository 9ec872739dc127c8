"""From FP32 to INT8: what is observed of a graph, how it is prepared, and how its Q/DQ pairs are placed."""
