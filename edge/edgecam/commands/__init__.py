"""What each command does, as functions of plain values. `cli.py` imports them when they are asked for."""
