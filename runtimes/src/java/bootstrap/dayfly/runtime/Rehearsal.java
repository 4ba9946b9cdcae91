package dayfly.runtime;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Goes the whole way of a user's code with handlers of our own, from being told what it is for to an answer, into the
 * void. They lie in a task root beside our jar, which has a class and a jar in `lib`. What is on that way is loaded then,
 * and the JVM has compiled what is slow.
 */
final class Rehearsal {
    private static final int ROUNDS = 40;
    private static final String[] HANDLERS = {
        "dayfly.rehearsal.Greeting", "dayfly.rehearsal.Plain::handle", "dayfly.rehearsal.Echo",
    };
    private static final String[] FORMATS = {"Text", "JSON"};
    private static final byte[] HEADER = bytes("{\"id\": \"0\", \"deadline_ms\": 0, \"arn\": \"a\"}");
    private static final byte[] EVENT =
        bytes("{\"name\": \"Ada\", \"count\": 1, \"list\": [1.5, null, true], \"map\": {\"a\": \"\\u00e9\"}}");

    private Rehearsal() {}

    static void run() throws Throwable {
        Inside.prepare();
        String root = Inside.beside("rehearsal");
        if (!new File(root).isDirectory()) {
            return;
        }
        try (OutputStream nowhere = new FileOutputStream("/dev/null")) {
            for (int round = 0; round < ROUNDS; round++) {
                for (String handler : HANDLERS) {
                    byte[] said = conversation(root, handler, FORMATS[round % FORMATS.length]);
                    Main.rehearse(new Channel(new ByteArrayInputStream(said), nowhere));
                }
            }
        }
    }

    /** What the platform says to an instance that is called once. */
    private static byte[] conversation(String root, String handler, String format) {
        JsonWriter load = new JsonWriter();
        load.raw('{');
        load.member("LAMBDA_TASK_ROOT", root);
        load.raw(',');
        load.member("_HANDLER", handler);
        load.raw(',');
        load.member("AWS_LAMBDA_LOG_FORMAT", format);
        for (Map.Entry<String, String> variable : System.getenv().entrySet()) {
            if (!variable.getKey().equals("LAMBDA_TASK_ROOT") && !variable.getKey().equals("_HANDLER")
                    && !variable.getKey().equals("AWS_LAMBDA_LOG_FORMAT")) {
                load.raw(',');
                load.member(variable.getKey(), variable.getValue());
            }
        }
        load.raw('}');
        byte[] environment = load.bytes();
        ByteArrayOutputStream said = new ByteArrayOutputStream(4096);
        frame(said, Channel.LOAD, bytes("{\"env\": "), environment, bytes("}"));
        byte[] length = new byte[4];
        length[0] = (byte) HEADER.length;
        frame(said, Channel.INVOKE, length, HEADER, EVENT);
        return said.toByteArray();
    }

    private static void frame(ByteArrayOutputStream out, int kind, byte[]... parts) {
        int length = 0;
        for (byte[] part : parts) {
            length += part.length;
        }
        for (int i = 0; i < 4; i++) {
            out.write(length >>> 8 * i);
        }
        out.write(kind);
        for (byte[] part : parts) {
            out.write(part, 0, part.length);
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
