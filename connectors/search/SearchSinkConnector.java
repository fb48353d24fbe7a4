package dev.headrace.search;

import java.net.URI;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.Config;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.config.ConfigValue;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;

/**
 * Keeps one index of OpenSearch or Elasticsearch as one topic says: the record's key is the document's id, its value
 * the document as JSON, and no value deletes it.
 */
public final class SearchSinkConnector extends SinkConnector {
    static final String URL = "connection.url";
    static final String USERNAME = "connection.username";
    static final String PASSWORD = "connection.password";
    static final String API_KEY = "connection.api.key";
    static final String INDEX = "index";

    private static final Pattern INDEX_NAME = Pattern.compile("[a-z0-9][a-z0-9._-]{0,254}");

    static final ConfigDef CONFIG = new ConfigDef()
        .define(URL, Type.LIST, ConfigDef.NO_DEFAULT_VALUE, ConfigDef.LambdaValidator.with(
                SearchSinkConnector::checkUrls, () -> "http://HOST:PORT or https://HOST:PORT, several with commas"),
            Importance.HIGH, "Where the search server is. The next address is tried when one does not answer.")
        .define(INDEX, Type.STRING, ConfigDef.NO_DEFAULT_VALUE, ConfigDef.LambdaValidator.with(
                SearchSinkConnector::checkIndex, () -> INDEX_NAME.pattern()),
            Importance.HIGH, "The index, or an alias for it. It is never created: while it is missing, records wait.")
        .define(USERNAME, Type.STRING, "", Importance.MEDIUM, "The user, for basic authentication.")
        .define(PASSWORD, Type.PASSWORD, "", Importance.MEDIUM, "The user's password.")
        .define(API_KEY, Type.PASSWORD, "", Importance.MEDIUM, "An API key, instead of user and password.");

    private Map<String, String> properties = Map.of();

    @Override
    public String version() {
        String version = getClass().getPackage().getImplementationVersion();
        return version == null ? "unknown" : version;
    }

    @Override
    public ConfigDef config() {
        return CONFIG;
    }

    @Override
    public Config validate(Map<String, String> given) {
        Config checked = super.validate(given);
        for (ConfigValue value : checked.configValues()) {
            mistakes(value.name(), given).forEach(value::addErrorMessage);
        }
        return checked;
    }

    @Override
    public void start(Map<String, String> given) {
        for (String name : CONFIG.names()) {
            for (String mistake : mistakes(name, given)) {
                throw new ConfigException(name + ": " + mistake);
            }
        }
        properties = given;
    }

    @Override
    public void stop() {
    }

    @Override
    public Class<? extends Task> taskClass() {
        return SearchSinkTask.class;
    }

    @Override
    public List<Map<String, String>> taskConfigs(int most) {
        return Collections.nCopies(most, properties);
    }

    /** Offsets are the consumer group's alone, so that they may be set to anything. */
    @Override
    public boolean alterOffsets(Map<String, String> given, Map<TopicPartition, Long> offsets) {
        return true;
    }

    /** What is wrong with settings that belong together; each is told of at one of them. */
    private static List<String> mistakes(String name, Map<String, String> given) {
        List<String> found = new ArrayList<>();
        boolean user = has(given, USERNAME), password = has(given, PASSWORD), key = has(given, API_KEY);
        if (name.equals(INDEX) && (has(given, "topics.regex") || given.getOrDefault(TOPICS_CONFIG, "").contains(","))) {
            found.add("one index takes one topic, as documents are versioned by their offsets; "
                + "name one in topics, and make a connector for each other one");
        }
        if (name.equals(PASSWORD) && user != password) {
            found.add("set both of " + USERNAME + " and " + PASSWORD + ", or none");
        }
        if (name.equals(API_KEY) && key && user) {
            found.add("set an API key, or user and password, but not both");
        }
        return found;
    }

    private static boolean has(Map<String, String> given, String name) {
        return !given.getOrDefault(name, "").isEmpty();
    }

    private static void checkUrls(String name, Object value) {
        if (!(value instanceof List<?> urls)) {
            return; // a missing setting is reported as such
        }
        if (urls.isEmpty()) {
            throw new ConfigException(name + ": name at least one address");
        }
        for (Object each : urls) {
            URI url;
            try {
                url = URI.create(each.toString());
            } catch (IllegalArgumentException error) {
                throw new ConfigException(name + ": one of the addresses is no URL");
            }
            // The text of the address is not in the messages, since it may hold a password.
            if (url.getUserInfo() != null) {
                throw new ConfigException(name + ": put user and password into " + USERNAME + " and " + PASSWORD);
            }
            if (url.getHost() == null || !List.of("http", "https").contains(String.valueOf(url.getScheme()))) {
                throw new ConfigException(name + ": each address must be http://HOST:PORT or https://HOST:PORT");
            }
        }
    }

    private static void checkIndex(String name, Object value) {
        if (value != null && !INDEX_NAME.matcher(value.toString()).matches()) {
            throw new ConfigException(name, value, "must match " + INDEX_NAME.pattern());
        }
    }
}
