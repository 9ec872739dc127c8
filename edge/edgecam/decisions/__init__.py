"""From answers about single frames to what a person can act on: smoothed answers, events, alarms."""
