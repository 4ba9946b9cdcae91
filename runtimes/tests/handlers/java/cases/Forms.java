package cases;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;
import java.util.Map;

/** The forms of handlers. */
public class Forms {
    public static class Maps implements RequestHandler<Map<String, Object>, String> {
        @Override public String handleRequest(Map<String, Object> event, Context context) { return "" + event.get("k"); }
    }

    public static class Streams implements RequestStreamHandler {
        @Override public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
            out.write('<');
            in.transferTo(out);
            out.write('>');
        }
    }

    public abstract static class Generic<A, B> implements RequestHandler<List<A>, B> { }

    public static class Concrete extends Generic<Long, Object> {
        @Override public Object handleRequest(List<Long> event, Context context) { return event.get(0).getClass().getName(); }
    }

    public static class Bounded<T extends Beans.Base> implements RequestHandler<T, String> {
        @Override public String handleRequest(T event, Context context) { return event.inBase; }
    }

    public static class Unbounded<T> implements RequestHandler<T, String> {
        @Override public String handleRequest(T event, Context context) { return "never"; }
    }

    @SuppressWarnings("rawtypes")
    public static class Raw implements RequestHandler {
        @Override public Object handleRequest(Object event, Context context) { return event; }
    }

    public static class Nothing { }

    public class Inner implements RequestHandler<String, String> {
        @Override public String handleRequest(String event, Context context) { return event; }
    }

    public static class Private implements RequestHandler<String, String> {
        private Private() { }
        @Override public String handleRequest(String event, Context context) { return event; }
    }

    public static class FailsToStart implements RequestHandler<String, String> {
        public FailsToStart() { throw new IllegalStateException("not today"); }
        @Override public String handleRequest(String event, Context context) { return event; }
    }

    public static class FailsToLoad implements RequestHandler<String, String> {
        static final int N = Integer.parseInt("x");
        @Override public String handleRequest(String event, Context context) { return event; }
    }

    public static String statically(String event) { return "static " + event; }
    public void streams(InputStream in, OutputStream out) throws IOException { in.transferTo(out); }
    public void streamsContext(InputStream in, OutputStream out, Context context) throws IOException {
        out.write(context.getFunctionName().getBytes());
    }
    public void input(InputStream in) { }
    public void output(OutputStream out, Context context) throws IOException { out.write("\"out\"".getBytes()); }
    public int returns(InputStream in, OutputStream out) throws IOException { in.transferTo(out); return 1; }
    public String many(String event) { return "one"; }
    public String many(String event, Context context) { return "two"; }
    public String many(String event, int other, Context context) { return "three"; }
    public String wrong(String a, String b) { return a; }
    private String unseen(String a) { return a; }
}
