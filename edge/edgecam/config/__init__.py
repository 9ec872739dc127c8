"""Settings of a run: from a TOML file and the command line, checked in one place, and written out again."""
