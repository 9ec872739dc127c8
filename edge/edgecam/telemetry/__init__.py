"""What a machine tells while it works: clocks, temperatures, load, power. Every path hangs from a root."""
