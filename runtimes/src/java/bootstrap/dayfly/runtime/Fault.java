package dayfly.runtime;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/** What is wrong with a function or its call, as the caller and the log get it. */
final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1;
    private static final String OWN = "dayfly.runtime.";

    final String message;
    /** The class of the error; `null`: the fault is the platform's own finding. */
    final String type;
    /** For the log. */
    final String trace;
    /** Nothing can be done with the function any more. */
    final boolean fatal;

    Fault(String message, String type, String trace, boolean fatal) {
        super(message, null, false, false);
        this.message = message;
        this.type = type;
        this.trace = trace;
        this.fatal = fatal;
    }

    static Fault finding(String message) {
        return new Fault(message, null, null, false);
    }

    static Fault of(Throwable error, boolean fatal) {
        return new Fault(text(error), error.getClass().getName(), trace(error), fatal);
    }

    static Fault classNotFound(Throwable error, String name) {
        return new Fault("Class not found: " + name, error.getClass().getName(), trace(error), false);
    }

    static Fault initialization(Throwable error, String name) {
        String why = error.getMessage() == null ? "" : ": " + error.getMessage();
        return new Fault("Error loading class " + name + why, error.getClass().getName(), trace(error), true);
    }

    /** The record of the log. */
    String report() {
        if (type == null && trace == null) {
            return message + "\n";
        }
        return message + ": " + (type == null ? "" : type) + "\n" + (trace == null ? "" : trace) + "\n";
    }

    /** The answer to the caller; `stack` may be `null`. */
    byte[] json(StackTraceElement[] stack) {
        JsonWriter json = new JsonWriter();
        json.raw('{');
        json.member("errorMessage", message);
        if (type != null) {
            json.raw(',');
            json.member("errorType", type);
        }
        if (stack != null) {
            json.raw(',');
            json.text("stackTrace");
            json.raw(':');
            json.raw('[');
            for (int i = 0; i < stack.length; i++) {
                if (i > 0) {
                    json.raw(',');
                }
                json.text(stack[i].toString());
            }
            json.raw(']');
        }
        json.raw('}');
        return json.bytes();
    }

    static String text(Throwable error) {
        String text = error.getLocalizedMessage();
        return text == null ? error.getClass().getName() : text;
    }

    private static String trace(Throwable error) {
        cut(error);
        StringWriter text = new StringWriter();
        error.printStackTrace(new PrintWriter(text));
        return text.toString();
    }

    /** Takes our own frames, and what stands above them, out of an error and all that it holds. */
    static <T extends Throwable> T cut(T error) {
        cut(error, Collections.newSetFromMap(new IdentityHashMap<>()));
        return error;
    }

    private static void cut(Throwable error, Set<Throwable> seen) {
        if (error == null || !seen.add(error)) {
            return;
        }
        StackTraceElement[] frames = error.getStackTrace();
        for (int i = 0; i < frames.length; i++) {
            if (frames[i].getClassName().startsWith(OWN)) {
                StackTraceElement[] kept = new StackTraceElement[i];
                System.arraycopy(frames, 0, kept, 0, i);
                error.setStackTrace(kept);
                break;
            }
        }
        cut(error.getCause(), seen);
        for (Throwable other : error.getSuppressed()) {
            cut(other, seen);
        }
    }
}
