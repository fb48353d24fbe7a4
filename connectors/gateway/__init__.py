"""The gateway: commands, facts and reads over HTTP, for programs that know nothing of Kafka."""
