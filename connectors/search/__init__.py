"""The search sink: documents of projectors in OpenSearch and Elasticsearch, by Kafka Connect."""
