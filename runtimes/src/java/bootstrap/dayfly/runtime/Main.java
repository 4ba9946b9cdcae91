package dayfly.runtime;

import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOError;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;

/**
 * Loads one Java handler and serves calls over the framed socket on descriptor 3. What a handler sees follows AWS's
 * runtime interface client for Java, which is the reference in the tests.
 *
 * Nothing here uses lambdas, streams, regular expressions or formats: each of them costs milliseconds at a start.
 */
public final class Main {
    /** Most bytes of an answer. */
    private static final int ANSWER_BYTES = 6 * 1024 * 1024 + 100;
    private static final String TASK = "/var/task";
    private static final String TRACE = "com.amazonaws.xray.traceHeader";

    private final Channel channel;
    private final CallContext.Facts facts = new CallContext.Facts();
    private final Log log;

    private Main(Channel channel) throws ReflectiveOperationException {
        this.channel = channel;
        this.log = new Log(channel);
        Field logger = LambdaRuntime.class.getDeclaredField("logger");
        logger.setAccessible(true);
        logger.set(null, log);
    }

    /** With the argument `rehearse`: loads what instances need, for an archive of classes, and ends. */
    public static void main(String[] arguments) throws Throwable {
        System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new FileOutputStream(FileDescriptor.err), false, StandardCharsets.UTF_8));
        if (arguments.length > 0 && arguments[0].equals("rehearse")) {
            Rehearsal.run();
            return;
        }
        Channel channel = new Channel();
        if ("1".equals(System.getenv("DAYFLY_WAIT"))) {
            Rehearsal.run();
            channel.waits();
            await(channel);
        }
        new Main(channel).run();
    }

    /** One life on a channel that holds all that is said to it: it is told what it is for, loads, logs, and serves a call. */
    static void rehearse(Channel channel) throws Throwable {
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        await(channel);
        Main main = new Main(channel);
        Function function = main.load();
        main.log.log("rehearsal");
        if (function == null || !main.serveOne(function)) {
            throw new IllegalStateException("the rehearsal failed");
        }
        ((TaskLoader) thread.getContextClassLoader()).close();
        thread.setContextClassLoader(before);
    }

    /** Waits until it is known what this JVM is for. */
    @SuppressWarnings("unchecked")
    private static void await(Channel channel) throws ReflectiveOperationException {
        if (channel.next() != Channel.LOAD) {
            throw new IllegalStateException("expected a Load frame");
        }
        Map<String, Object> load = (Map<String, Object>) JsonReader.read(text(channel.payload, 0, channel.payload.length));
        Map<String, Object> environment = (Map<String, Object>) load.get("env");
        Object root = environment.get("LAMBDA_TASK_ROOT");
        Environment.become(environment, root == null ? TASK : root.toString());
    }

    private static String text(byte[] bytes, int at, int count) {
        return new String(bytes, at, count, StandardCharsets.UTF_8);
    }

    private void run() throws Throwable {
        Function function = load();
        while (function != null && serveOne(function)) {
            Thread.interrupted(); // what one call leaves behind is not the next one's
        }
        System.exit(1);
    }

    /** The function, or `null` where it cannot be loaded. Either is told. */
    private Function load() throws Throwable {
        String root = System.getenv("LAMBDA_TASK_ROOT");
        ClassLoader loader = new TaskLoader(root == null ? TASK : root);
        Thread.currentThread().setContextClassLoader(loader);
        String handler = System.getenv("_HANDLER");
        try {
            Function function = Function.load(handler == null ? "" : handler, loader);
            channel.ready();
            return function;
        } catch (Fault fault) {
            log.fault(fault);
            channel.initError(fault.json(null));
            return null;
        }
    }

    /** Whether this JVM can serve another call. */
    @SuppressWarnings("unchecked")
    private boolean serveOne(Function function) {
        if (channel.next() != Channel.INVOKE) {
            throw new IllegalStateException("expected an Invoke frame");
        }
        byte[] payload = channel.payload;
        channel.payload = null;
        int split = 4 + Channel.number(payload, 0);
        Map<String, Object> header = (Map<String, Object>) JsonReader.read(text(payload, 4, split - 4));
        String id = (String) header.get("id");
        byte[] answer;
        int kind = Channel.RESPONSE;
        try {
            answer = call(function, header, Arrays.copyOfRange(payload, split, payload.length));
        } catch (Fault fault) {
            kind = fault.fatal ? Channel.LAST_ERROR : Channel.ERROR;
            answer = fault.json(null);
            log.fault(fault);
        } catch (Throwable error) {
            kind = error instanceof VirtualMachineError || error instanceof IOError ? Channel.LAST_ERROR : Channel.ERROR;
            Fault fault = Fault.of(error, false);
            answer = fault.json(error.getStackTrace());
            log.fault(fault);
        }
        System.out.flush();
        System.err.flush();
        channel.answer(kind, id, answer, answer.length);
        return kind != Channel.LAST_ERROR;
    }

    private byte[] call(Function function, Map<String, Object> header, byte[] event) throws Throwable {
        String trace = (String) header.get("trace");
        if (trace == null) {
            System.clearProperty(TRACE);
        } else {
            System.setProperty(TRACE, trace);
        }
        CallContext context = new CallContext(facts, header, log);
        log.current = context;
        if (LambdaRuntimeInternal.getUseLog4jAppender()) {
            Log4j.put(context.getAwsRequestId());
        }
        byte[] answer = function.call(event, context);
        if (answer.length > ANSWER_BYTES) {
            throw new Fault("Response payload size exceeded maximum allowed payload size (" + ANSWER_BYTES + " bytes).",
                    "Function.ResponseSizeTooLarge", null, false);
        }
        return answer;
    }
}
