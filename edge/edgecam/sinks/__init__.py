"""Outputs of the loop. To add one: one module with a class that fits `sink.Sink`, one line in `live`."""
