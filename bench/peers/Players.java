import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;
import java.util.Set;
import java.util.Optional;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StreamPartitioner;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The benchmark's players in Kafka Streams with exactly-once v2: for each command a state is read and written, and an
 * event and a reply are sent. Arguments: bootstrap servers, topic prefix, folder for the state.
 *
 * Protobuf is written by hand, since the messages are small and no library is to count.
 */
public final class Players {
    /** Bytes for one partition of a topic. */
    record Output(byte[] value, int partition) {}

    static final StreamPartitioner<byte[], Output> CHOSEN =
        (topic, key, output, partitions) -> Optional.of(Set.of(output.partition()));
    static final Serializer<Output> BYTES = (topic, output) -> output.value();

    public static void main(String[] arguments) throws InterruptedException {
        String prefix = arguments[1];
        Topology topology = new Topology();
        topology.addSource("commands", new ByteArrayDeserializer(), new ByteArrayDeserializer(),
            prefix + "main.player.commands");
        topology.addProcessor("player", Player::new, "commands");
        topology.addStateStore(
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("players"), Serdes.ByteArray(), Serdes.ByteArray())
                .withCachingEnabled(),
            "player");
        topology.addSink("events", prefix + "main.player.events", new ByteArraySerializer(), BYTES, CHOSEN, "player");
        topology.addSink("replies", prefix + "headrace.replies", new ByteArraySerializer(), BYTES, CHOSEN, "player");
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "streams");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[2]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        KafkaStreams streams = new KafkaStreams(topology, settings);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                System.out.println("running");
            }
        });
        streams.start();
        Thread.currentThread().join();
    }

    /** Decides one command after the other. */
    static final class Player implements Processor<byte[], byte[], byte[], Output> {
        private ProcessorContext<byte[], Output> context;
        private KeyValueStore<byte[], byte[]> players;

        @Override
        public void init(ProcessorContext<byte[], Output> context) {
            this.context = context;
            this.players = context.getStateStore("players");
        }

        @Override
        public void process(Record<byte[], byte[]> command) {
            byte[] root = command.key();
            byte[] known = players.get(root);
            long sequence = 0;
            long bankroll = 0;
            String name = "";
            if (known != null) {
                ByteBuffer state = ByteBuffer.wrap(known);
                sequence = state.getLong() + 1;
                bankroll = state.getLong();
                name = new String(known, 16, known.length - 16, StandardCharsets.UTF_8);
            }
            Headers headers = command.headers();
            String type;
            byte[] event;
            if (text(headers, "ce_type").equals("poker.v1.DepositFunds")) {
                long amount = varint(command.value(), 1);
                bankroll += amount;
                type = "poker.v1.FundsDeposited";
                event = new Message().number(1, amount).number(2, bankroll).bytes();
            } else {
                name = new String(command.value(), 2, command.value().length - 2, StandardCharsets.UTF_8);
                type = "poker.v1.PlayerRegistered";
                event = new Message().text(1, name).bytes();
            }
            byte[] label = name.getBytes(StandardCharsets.UTF_8);
            players.put(root, ByteBuffer.allocate(16 + label.length).putLong(sequence).putLong(bankroll).put(label).array());

            String player = new String(root, StandardCharsets.UTF_8);
            String id = text(headers, "ce_id");
            String correlation = text(headers, "ce_correlationid");
            String time = java.time.Instant.ofEpochMilli(command.timestamp()).toString();
            RecordHeaders out = standard(type);
            out.add("ce_id", utf8(player + ":" + sequence));
            out.add("ce_sequence", utf8(Long.toString(sequence)));
            out.add("ce_subject", root);
            out.add("ce_time", utf8(time));
            out.add("ce_correlationid", utf8(correlation));
            out.add("ce_causationid", utf8(id));
            byte[] key = utf8(player + "|" + String.format("%020d", sequence));
            context.forward(new Record<>(key, new Output(event, context.taskId().partition()), command.timestamp(), out),
                "events");

            String[] target = text(headers, "ce_replyto").split("/");
            Message written = new Message().text(1, type).number(2, sequence).raw(3, event).text(5, time)
                .text(6, correlation).text(7, id);
            byte[] reply = new Message().text(1, id).number(2, 1).text(3, player).number(4, sequence)
                .raw(5, written.bytes()).text(10, correlation).bytes();
            RecordHeaders answer = standard("headrace.v1.Reply");
            answer.add("ce_id", utf8(id));
            context.forward(new Record<>(utf8(id), new Output(reply, Integer.parseInt(target[1])), command.timestamp(), answer),
                "replies");
        }

        private static RecordHeaders standard(String type) {
            RecordHeaders out = new RecordHeaders();
            out.add("ce_specversion", utf8("1.0"));
            out.add("ce_source", utf8("/main/player"));
            out.add("ce_type", utf8(type));
            out.add("content-type", utf8("application/protobuf"));
            return out;
        }
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(Headers headers, String name) {
        Header header = headers.lastHeader(name);
        return header == null ? "" : new String(header.value(), StandardCharsets.UTF_8);
    }

    /** The number that begins at a place of a protobuf message. */
    static long varint(byte[] message, int at) {
        long value = 0;
        for (int shift = 0; ; shift += 7, at++) {
            value |= (long) (message[at] & 0x7f) << shift;
            if (message[at] >= 0) {
                return value;
            }
        }
    }

    /** A protobuf message on its way to bytes; empty fields are left out. */
    static final class Message {
        private final ByteArrayOutputStream out = new ByteArrayOutputStream(128);

        Message number(int field, long value) {
            if (value != 0) {
                write(field << 3);
                write(value);
            }
            return this;
        }

        Message text(int field, String value) {
            return raw(field, utf8(value));
        }

        Message raw(int field, byte[] value) {
            if (value.length > 0) {
                write(field << 3 | 2);
                write(value.length);
                out.writeBytes(value);
            }
            return this;
        }

        byte[] bytes() {
            return out.toByteArray();
        }

        private void write(long value) {
            while ((value & ~0x7fL) != 0) {
                out.write((int) (value & 0x7f | 0x80));
                value >>>= 7;
            }
            out.write((int) value);
        }
    }
}
