import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Sends commands with Kafka's own Java client, by nothing but docs/record-format.md; senders.py says what comes in and
 * goes out. Values are JSON, which needs no library. Arguments: bootstrap servers, topic, milliseconds of one attempt.
 */
public final class Sender {
    record Command(String id, String root, String type, String json, List<String> attributes) {}

    private static final Command END = new Command("", "", "", "", List.of());

    /** What is to be sent, for the first time or again. */
    private static final LinkedBlockingQueue<Command> waiting = new LinkedBlockingQueue<>();

    /** Commands that are not at the broker yet, and one more while others may come. */
    private static final AtomicInteger open = new AtomicInteger(1);

    public static void main(String[] arguments) throws InterruptedException {
        String topic = arguments[1];
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
        settings.put("linger.ms", "0");
        settings.put("request.timeout.ms", arguments[2]);
        settings.put("delivery.timeout.ms", arguments[2]);
        new Thread(Sender::read).start();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            for (Command command = waiting.take(); command != END; command = waiting.take()) {
                send(producer, topic, command);
            }
        }
    }

    private static void send(KafkaProducer<String, String> producer, String topic, Command command) {
        // no partition, since the default partitioner takes that of the key
        ProducerRecord<String, String> record = new ProducerRecord<>(topic, command.root(), command.json());
        header(record, "ce_specversion", "1.0");
        header(record, "ce_id", command.id());
        header(record, "ce_source", "/foreign/java");
        header(record, "ce_type", command.type());
        header(record, "content-type", "application/json");
        for (String attribute : command.attributes()) {
            int end = attribute.indexOf('=');
            header(record, "ce_" + attribute.substring(0, end), attribute.substring(end + 1));
        }
        producer.send(record, (place, error) -> {
            if (error != null) {
                waiting.add(command); // once more with the same id, since it may have arrived all the same
                say("failed", command.id(), error.getClass().getSimpleName());
            } else {
                say("sent", command.id(), String.valueOf(place.partition()));
                close();
            }
        });
    }

    private static void header(ProducerRecord<String, String> record, String name, String value) {
        record.headers().add(name, value.getBytes(StandardCharsets.UTF_8));
    }

    private static void read() {
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                List<String> fields = Arrays.asList(line.split("\t"));
                open.incrementAndGet();
                waiting.add(new Command(fields.get(0), fields.get(1), fields.get(2), fields.get(3),
                    fields.subList(4, fields.size())));
            }
        } catch (IOException error) {
            say("broken", "stdin", error.toString());
        }
        close();
    }

    private static void close() {
        if (open.decrementAndGet() == 0) {
            waiting.add(END);
        }
    }

    private static synchronized void say(String... words) {
        System.out.println(String.join("\t", words));
        if (System.out.checkError()) {
            System.exit(1); // nobody listens any more
        }
    }
}
