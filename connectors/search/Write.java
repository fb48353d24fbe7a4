package dev.headrace.search;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.sink.SinkRecord;

/** What one record does to its document: two lines of a bulk request, one for a deletion. */
final class Write {
    private static final int LONGEST_ID = 512; // bytes; the servers refuse a whole request for a longer one
    private static final JsonFactory JSON = new JsonFactory();
    private static final byte[] INDEX = ascii("{\"index\":{\"_id\":\"");
    private static final byte[] DELETE = ascii("{\"delete\":{\"_id\":\"");
    private static final byte[] VERSION = ascii("\",\"version_type\":\"external\",\"version\":");
    private static final byte[] END = ascii("}}\n");

    final SinkRecord record;
    final String id;
    private final byte[] quotedId;
    private final byte[] document;
    /** The write of the same document before this one, in the same batch. */
    Write previous;

    private Write(SinkRecord record, String id, byte[] quotedId, byte[] document) {
        this.record = record;
        this.id = id;
        this.quotedId = quotedId;
        this.document = document;
    }

    /** Throws DataException with the reason if the record cannot be a document. */
    static Write of(SinkRecord record) {
        if (record.key() == null) {
            throw new DataException("it has no key, which would be the document's id");
        }
        if (!(record.key() instanceof String id)) {
            throw wrongConverter("key", record.key(), "org.apache.kafka.connect.storage.StringConverter");
        }
        byte[] quoted = JsonStringEncoder.getInstance().quoteAsUTF8(id);
        if (id.isEmpty() || quoted.length > LONGEST_ID && id.getBytes(StandardCharsets.UTF_8).length > LONGEST_ID) {
            throw new DataException("its key must have 1 to " + LONGEST_ID + " bytes, as the id of a document");
        }
        Object value = record.value();
        if (value != null && !(value instanceof byte[])) {
            throw wrongConverter("value", value, "org.apache.kafka.connect.converters.ByteArrayConverter");
        }
        return new Write(record, id, quoted, value == null ? null : line((byte[]) value));
    }

    /** About as many bytes as it takes in the request. */
    int size() {
        return quotedId.length + 80 + (document == null ? 0 : document.length);
    }

    void appendTo(ByteArrayOutputStream body) {
        body.writeBytes(document == null ? DELETE : INDEX);
        body.writeBytes(quotedId);
        body.writeBytes(VERSION);
        // Of two writes of a document the later one wins, in whatever order they come, and however often.
        body.writeBytes(ascii(Long.toString(record.originalKafkaOffset() + 1)));
        body.writeBytes(END);
        if (document != null) {
            body.writeBytes(document);
            body.write('\n');
        }
    }

    /** The document on one line, or DataException if it is no JSON object. */
    private static byte[] line(byte[] json) {
        try (JsonParser parser = JSON.createParser(json)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new DataException("its value is no JSON object");
            }
            parser.skipChildren();
            if (parser.nextToken() != null) {
                throw new DataException("its value goes on behind the JSON object");
            }
        } catch (IOException error) {
            String why = error.getMessage().lines().findFirst().orElse("");
            throw new DataException("its value is no JSON: " + why);
        }
        byte[] line = json;
        for (int i = 0; i < json.length; i++) {
            // The parser would also take UTF-16 and UTF-32, which have such bytes.
            if (json[i] == 0) {
                throw new DataException("its value is no UTF-8");
            }
            // Line breaks end a line of the request. In JSON they can only be between tokens.
            if (json[i] == '\n' || json[i] == '\r') {
                line = line == json ? json.clone() : line;
                line[i] = ' ';
            }
        }
        return line;
    }

    private static ConnectException wrongConverter(String part, Object found, String converter) {
        return new ConnectException("the " + part + " of a record is a " + found.getClass().getSimpleName()
            + "; set " + part + ".converter=" + converter);
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }
}
