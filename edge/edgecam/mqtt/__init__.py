"""Telling an MQTT broker what the cameras see: topics, payloads, a bounded outbox and one worker thread.

The outbox is the only truth about what was told: a message leaves it when the broker has acknowledged it, and
goes back to its front when the connection breaks before that. So an event may arrive twice, never unnoticed
not at all: a consumer tells duplicates by (`id`, `phase`, `seq`), and what the bound threw away is counted on
`PREFIX/lost`.
"""
