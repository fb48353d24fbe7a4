#!/bin/sh
# Runs a Kafka Connect worker with the settings of connect.properties, and those of the variables CONNECT_….
set -eu
settings=/tmp/connect.properties
{
    cat /opt/headrace/connect.properties
    # Where other workers find this one.
    echo "rest.advertised.host.name=$(hostname)"
    # The last line of a setting counts. A backslash is written twice in such a file.
    env | sed -n 's/\\/\\\\/g; s/^CONNECT_\([A-Z0-9_]*\)=/\1=/p' | while IFS='=' read -r name value; do
        printf '%s=%s\n' "$(printf %s "$name" | tr 'A-Z_' 'a-z.')" "$value"
    done
} > "$settings"
# The image's Kafka has one or the other library for logs.
exec java -Xmx"${CONNECT_HEAP:-512m}" -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
    -Dorg.apache.logging.log4j.level=INFO -Dorg.slf4j.simpleLogger.defaultLogLevel=info \
    -cp '/opt/kafka/libs/*' org.apache.kafka.connect.cli.ConnectDistributed "$settings"
