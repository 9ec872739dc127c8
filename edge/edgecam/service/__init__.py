"""Life as a service: what systemd is told, and settings that change while the loop runs."""
