"""What each command does, as functions of plain values. `cli` imports them when they are asked for."""
