package dayfly.runtime;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.TimeZone;

/** The environment of a JVM that was started before it was known what for. */
final class Environment {
    private Environment() {}

    /** Makes `variables` all that this process and its children see, and `folder` the one that they stand in. */
    static void become(Map<String, Object> variables, String folder) throws ReflectiveOperationException {
        replace(variables);
        ByteArrayOutputStream texts = new ByteArrayOutputStream(4096);
        text(folder, texts);
        for (Map.Entry<String, Object> variable : variables.entrySet()) {
            text(variable.getKey() + "=" + variable.getValue(), texts);
        }
        texts.write(0);
        Inside.become(texts.toByteArray());
    }

    private static void text(String text, ByteArrayOutputStream out) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        out.write(bytes, 0, bytes.length);
        out.write(0);
    }

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
