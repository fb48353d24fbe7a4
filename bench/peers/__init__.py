"""Others that do the same work, measured in the same run: Kafka Streams with exactly-once v2."""
