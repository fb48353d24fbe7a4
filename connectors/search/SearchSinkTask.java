package dev.headrace.search;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.errors.RetriableException;
import org.apache.kafka.connect.sink.ErrantRecordReporter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;

/**
 * Writes records into the index, and returns from `put` only when all of them are there, refused for their own sake
 * and reported, or out of date. Whatever else goes wrong is tried again, for ever: Connect keeps the batch.
 */
public final class SearchSinkTask extends SinkTask {
    private static final int BATCH_RECORDS = 5_000;
    private static final int BATCH_BYTES = 5 << 20;
    private static final long FIRST_PAUSE_MS = 100;
    private static final long LONGEST_PAUSE_MS = 5_000;

    private SearchServer server;
    private ErrantRecordReporter reporter;
    private long pause = FIRST_PAUSE_MS;
    /** Records of the batch that Connect gives again, so that none is reported twice. */
    private final Set<Place> reported = new HashSet<>();
    /** Where what is done ends. Connect's own offsets may be ahead of it after a rebalance during a retry. */
    private final Map<TopicPartition, Long> done = new HashMap<>();

    private record Place(TopicPartition partition, long offset) {
        static Place of(SinkRecord record) {
            TopicPartition partition = new TopicPartition(record.originalTopic(), record.originalKafkaPartition());
            return new Place(partition, record.originalKafkaOffset());
        }
    }

    @Override
    public String version() {
        return new SearchSinkConnector().version();
    }

    @Override
    public void start(Map<String, String> properties) {
        server = new SearchServer(new AbstractConfig(SearchSinkConnector.CONFIG, properties, false));
        reporter = context.errantRecordReporter();
    }

    @Override
    public void stop() {
    }

    @Override
    public void open(Collection<TopicPartition> partitions) {
        done.keySet().removeAll(partitions);
        reported.clear();
    }

    @Override
    public void put(Collection<SinkRecord> records) {
        if (records.isEmpty()) {
            return;
        }
        try {
            write(last(records));
        } catch (RetriableException error) {
            context.timeout(pause);
            pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
            throw error;
        }
        pause = FIRST_PAUSE_MS;
        reported.clear();
        for (SinkRecord record : records) {
            Place place = Place.of(record);
            done.merge(place.partition, place.offset + 1, Math::max);
        }
    }

    @Override
    public Map<TopicPartition, OffsetAndMetadata> preCommit(Map<TopicPartition, OffsetAndMetadata> current) {
        Map<TopicPartition, OffsetAndMetadata> safe = new HashMap<>();
        current.forEach((partition, offset) -> {
            Long end = done.get(partition);
            if (end != null) {
                safe.put(partition, end < offset.offset() ? new OffsetAndMetadata(end) : offset);
            }
        });
        return safe;
    }

    /** The last write of each document, which knows those before it. */
    private Map<String, Write> last(Collection<SinkRecord> records) {
        Map<String, Write> last = new LinkedHashMap<>(2 * records.size());
        for (SinkRecord record : records) {
            if (!reported.isEmpty() && reported.contains(Place.of(record))) {
                continue;
            }
            try {
                Write write = Write.of(record);
                write.previous = last.put(write.id, write);
            } catch (DataException unfit) {
                report(record, unfit.getMessage());
            }
        }
        return last;
    }

    private void write(Map<String, Write> last) {
        while (!last.isEmpty()) {
            for (List<Write> batch : batches(last.values())) {
                send(batch, last);
            }
        }
    }

    private static List<List<Write>> batches(Collection<Write> writes) {
        List<List<Write>> batches = new ArrayList<>();
        List<Write> batch = new ArrayList<>();
        long bytes = 0;
        for (Write write : writes) {
            if (!batch.isEmpty() && (bytes + write.size() > BATCH_BYTES || batch.size() == BATCH_RECORDS)) {
                batches.add(batch);
                batch = new ArrayList<>();
                bytes = 0;
            }
            batch.add(write);
            bytes += write.size();
        }
        batches.add(batch);
        return batches;
    }

    /** Takes out of `last` what is settled. A refused write leaves its place to the one before it. */
    private void send(List<Write> batch, Map<String, Write> last) {
        SearchServer.Answer answer = server.bulk(batch);
        if (answer.tooLarge()) {
            if (batch.size() == 1) {
                refuse(batch.get(0), "the search server says that the document is too large (HTTP 413)", last);
            } else {
                send(batch.subList(0, batch.size() / 2), last);
                send(batch.subList(batch.size() / 2, batch.size()), last);
            }
            return;
        }
        for (int i = 0; i < batch.size(); i++) {
            Write write = batch.get(i);
            if (answer.refusals().containsKey(i)) {
                refuse(write, answer.refusals().get(i), last);
            } else if (!answer.unsettled().contains(i)) {
                last.remove(write.id);
            }
        }
        if (!answer.unsettled().isEmpty()) {
            throw new RetriableException(answer.reason());
        }
    }

    private void refuse(Write write, String reason, Map<String, Write> last) {
        report(write.record, reason);
        if (write.previous == null) {
            last.remove(write.id);
        } else {
            last.put(write.id, write.previous);
        }
    }

    private void report(SinkRecord record, String reason) {
        Place place = Place.of(record);
        String text = "record " + place.partition + "@" + place.offset + " was refused: " + reason;
        if (reporter == null) {
            throw new ConnectException(text + "; to set such records aside, set errors.tolerance=all and "
                + "errors.deadletterqueue.topic.name");
        }
        reporter.report(record, new DataException(text));
        reported.add(place);
    }
}
