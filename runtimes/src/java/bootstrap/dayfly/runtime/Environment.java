package dayfly.runtime;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.TimeZone;

/**
 * The environment of a JVM that was started before it was known what for. The C library's own stays as it was: a child
 * process has the new one where `ProcessBuilder.environment()` was asked for, and else the old one.
 */
final class Environment {
    private Environment() {}

    /** Makes `variables` all that `System.getenv` and `ProcessBuilder.environment()` show. */
    static void replace(Map<String, Object> variables) throws ReflectiveOperationException {
        Map<Object, Object> all = new HashMap<>();
        for (Map.Entry<String, Object> variable : variables.entrySet()) {
            all.put(entry("Variable", variable.getKey()), entry("Value", variable.getValue().toString()));
        }
        Map<Object, Object> seen = Inside.environment();
        seen.clear();
        seen.putAll(all);
        zone(variables.get("TZ"));
    }

    private static Object entry(String kind, String text) throws ReflectiveOperationException {
        return Inside.entry(kind, text, text.getBytes(StandardCharsets.UTF_8));
    }

    /** The JVM asks the C library for its zone, which knows nothing of the new environment. */
    private static void zone(Object text) {
        String id = text == null ? "" : text.toString();
        id = id.startsWith(":") ? id.substring(1) : id;
        if (!id.isEmpty() && !id.equals(TimeZone.getDefault().getID())) {
            TimeZone.setDefault(TimeZone.getTimeZone(id));
        }
    }
}
