"""A topology in memory, without Kafka: what-ifs, and the driver of tests, run production's steps in it."""
