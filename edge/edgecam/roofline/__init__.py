"""What a network asks of a device, what the device could do, and how fast it should be there."""
