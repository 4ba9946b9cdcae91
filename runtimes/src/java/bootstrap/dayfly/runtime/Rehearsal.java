package dayfly.runtime;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * Loads and calls handlers of our own from a task root beside our jar, which has a class and a jar in `lib`, so that the way that user code will take has been
 * walked: its classes are loaded, and the JVM has compiled what is slow.
 */
final class Rehearsal {
    private static final int ROUNDS = 20;
    private static final String[] HANDLERS = {
        "dayfly.rehearsal.Greeting", "dayfly.rehearsal.Plain::handle", "dayfly.rehearsal.Echo",
    };
    private static final String EVENT = "{\"name\": \"Ada\", \"count\": 1, \"list\": [1.5, null, true], \"map\": {\"a\": \"\\u00e9\"}}";

    private Rehearsal() {}

    static void run() throws Throwable {
        String jar = System.getProperty("java.class.path");
        int slash = jar.lastIndexOf('/');
        String root = jar.substring(0, slash + 1) + "rehearsal";
        if (!new File(root).isDirectory()) {
            return;
        }
        byte[] event = EVENT.getBytes(StandardCharsets.UTF_8);
        Map<String, Object> header = new HashMap<>();
        header.put("id", "0");
        header.put("deadline_ms", 0);
        Map<String, Object> environment = new HashMap<>(System.getenv());
        for (int round = 0; round < ROUNDS; round++) {
            Environment.replace(environment);
            CallContext context = new CallContext(new CallContext.Facts(), header, new Log(null));
            try (TaskLoader loader = new TaskLoader(root)) {
                for (String handler : HANDLERS) {
                    Function.load(handler, loader).call(event, context);
                }
            }
        }
    }
}
