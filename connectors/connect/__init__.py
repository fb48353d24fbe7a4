"""Sinks that Kafka Connect runs: their connectors rendered, compared with a Connect cluster, and deployed to it."""
