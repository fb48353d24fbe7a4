package dev.headrace.search;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.RetriableException;

/** One index of a search server, over HTTP. RetriableException: later it may work; ConnectException: it never will. */
final class SearchServer {
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(5);
    private static final Duration TIMEOUT = Duration.ofSeconds(60);
    private static final int SHOWN = 500; // characters of each thing that the server says
    private static final ObjectMapper JSON = new ObjectMapper();
    /** So begins an answer to a bulk request without an error, as `filter_path` leaves nothing before it. */
    private static final byte[] NO_ERRORS = "{\"errors\":false".getBytes(StandardCharsets.US_ASCII);
    /** What status 400 begins with where the index is at fault; behind that there may be text from the document. */
    private static final Pattern FAULT_OF_INDEX =
        Pattern.compile("index_closed_exception: |illegal_argument_exception: (no write index|pipeline with id)");

    private final HttpClient client = HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1).connectTimeout(CONNECT_TIMEOUT).build();
    private final List<String> urls;
    private final String index;
    private final String authorization;
    private int chosen;
    /** With an alias the server itself sees to it that no index is created by a write. */
    private boolean alias;

    /**
     * What a bulk request led to, by the numbers of its writes: those that are refused for their own sake, and those to
     * try again. A write that is in neither is done, or its document is newer already.
     */
    record Answer(boolean tooLarge, Map<Integer, String> refusals, Set<Integer> unsettled, String reason) {
        static final Answer DONE = new Answer(false, Map.of(), Set.of(), "");
        static final Answer TOO_LARGE = new Answer(true, Map.of(), Set.of(), "");
    }

    SearchServer(AbstractConfig config) {
        urls = config.getList(SearchSinkConnector.URL).stream().map(url -> url.replaceAll("/+$", "")).toList();
        index = config.getString(SearchSinkConnector.INDEX);
        String user = config.getString(SearchSinkConnector.USERNAME);
        String password = config.getPassword(SearchSinkConnector.PASSWORD).value();
        String key = config.getPassword(SearchSinkConnector.API_KEY).value();
        byte[] pair = (user + ":" + password).getBytes(StandardCharsets.UTF_8);
        authorization = !key.isEmpty() ? "ApiKey " + key
            : !user.isEmpty() ? "Basic " + Base64.getEncoder().encodeToString(pair) : "";
    }

    Answer bulk(List<Write> writes) {
        if (!alias) {
            find();
        }
        ByteArrayOutputStream body = new ByteArrayOutputStream(writes.stream().mapToInt(Write::size).sum());
        writes.forEach(write -> write.appendTo(body));
        String path = "/_bulk?filter_path=errors,items.*.status,items.*.error&require_alias=" + alias;
        HttpResponse<byte[]> response = send("POST", path, body.toByteArray());
        if (response.statusCode() == 413) {
            return Answer.TOO_LARGE;
        }
        if (response.statusCode() != 200) {
            throw unfit(response);
        }
        return startsWith(response.body(), NO_ERRORS) ? Answer.DONE : read(response);
    }

    /** Sees to it that the index is there, since a write into a missing one may create it with guessed mappings. */
    private void find() {
        HttpResponse<byte[]> response = send("GET", "/_alias", null);
        if (response.statusCode() == 404) {
            throw new RetriableException("there is no index " + index + " at " + urls.get(chosen)
                + "; create it with its mappings; its records wait");
        }
        if (response.statusCode() != 200) {
            throw unfit(response);
        }
        alias = !tree(response).has(index);
    }

    private Answer read(HttpResponse<byte[]> response) {
        Map<Integer, String> refusals = new HashMap<>();
        Set<Integer> unsettled = new HashSet<>();
        String reason = "";
        int number = 0;
        for (JsonNode item : tree(response).path("items")) {
            JsonNode result = item.elements().next();
            JsonNode error = result.path("error");
            int status = result.path("status").asInt();
            // 409: the index has this version, or a later one
            if (!error.isMissingNode() && status != 409) {
                String text = reason(error);
                if ((status == 400 || status == 413) && !FAULT_OF_INDEX.matcher(text).lookingAt()) {
                    refusals.put(number, text);
                } else {
                    alias = false; // it may have become an index, or be gone
                    unsettled.add(number);
                    reason = "index " + index + " at " + urls.get(chosen) + ": HTTP " + status + " " + text;
                }
            }
            number++;
        }
        return new Answer(false, refusals, unsettled, reason);
    }

    private HttpResponse<byte[]> send(String method, String path, byte[] body) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(urls.get(chosen) + "/" + index + path))
            .timeout(TIMEOUT)
            .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(body));
        if (body != null) {
            request.header("Content-Type", "application/x-ndjson");
        }
        if (!authorization.isEmpty()) {
            request.header("Authorization", authorization);
        }
        try {
            return client.send(request.build(), BodyHandlers.ofByteArray());
        } catch (IOException error) {
            String url = urls.get(chosen);
            chosen = (chosen + 1) % urls.size();
            throw new RetriableException("no answer from the search server at " + url + ": " + error, error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new RetriableException("interrupted while the search server was asked", error);
        }
    }

    private RuntimeException unfit(HttpResponse<byte[]> response) {
        int status = response.statusCode();
        String said = shortened(new String(response.body(), StandardCharsets.UTF_8));
        String text = "the search server at " + urls.get(chosen) + " answers HTTP " + status + " for index " + index;
        if (status == 401 || status == 403 && !said.contains("cluster_block_exception")) {
            return new ConnectException(text + "; correct " + SearchSinkConnector.USERNAME + " and "
                + SearchSinkConnector.PASSWORD + ", or " + SearchSinkConnector.API_KEY
                + ", or the user's rights, and restart the task: " + said);
        }
        if (status == 404 || status == 408 || status == 429 || status >= 500 || status == 403) {
            alias = false;
            chosen = (chosen + 1) % urls.size();
            return new RetriableException(text + ": " + said);
        }
        return new ConnectException(text + ", which it should not: " + said);
    }

    private JsonNode tree(HttpResponse<byte[]> response) {
        try {
            return JSON.readTree(response.body());
        } catch (IOException error) {
            throw new RetriableException("the search server at " + urls.get(chosen) + " answers no JSON", error);
        }
    }

    private static String reason(JsonNode error) {
        // A reason may repeat the whole value, with the cause behind it.
        String own = error.path("type").asText() + ": " + shortened(error.path("reason").asText());
        JsonNode cause = error.path("caused_by");
        return cause.isMissingNode() ? own : own + " (" + reason(cause) + ")";
    }

    private static String shortened(String text) {
        return text.length() <= SHOWN ? text : text.substring(0, SHOWN) + "…";
    }

    private static boolean startsWith(byte[] body, byte[] start) {
        if (body.length < start.length) {
            return false;
        }
        for (int i = 0; i < start.length; i++) {
            if (body[i] != start[i]) {
                return false;
            }
        }
        return true;
    }
}
