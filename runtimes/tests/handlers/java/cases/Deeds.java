package cases;

import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.util.Arrays;

/** What handlers do besides returning. */
public class Deeds {
    public static class Own extends RuntimeException {
        public Own(String text, Throwable cause) { super(text, cause); }
        @Override public String getLocalizedMessage() { return "local " + getMessage(); }
    }

    private static void deep(String event) {
        switch (event) {
            case "own":
                throw new Own("mine", new IllegalStateException("cause"));
            case "silent":
                throw new IllegalStateException();
            case "checked":
                Deeds.<RuntimeException>sneak(new Exception("checked"));
                break;
            case "error":
                throw new AssertionError("asserted");
            case "exit":
                System.exit(7);
                break;
            default:
                ((Object) null).hashCode();
        }
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void sneak(Throwable error) throws T { throw (T) error; }

    public String fails(String event) {
        deep(event);
        return "never";
    }

    public String overflows(String event) {
        throw new StackOverflowError("deep");
    }

    public String context(String event, Context context) {
        ClientContext client = context.getClientContext();
        return Arrays.toString(new Object[] {
            context.getAwsRequestId().length(), context.getLogGroupName(), context.getLogStreamName(), context.getFunctionName(),
            context.getFunctionVersion(), context.getInvokedFunctionArn(), context.getIdentity() == null,
            client.getClient().getAppTitle(), client.getClient().getInstallationId(), client.getCustom(), client.getEnvironment(),
            context.getMemoryLimitInMB(), context.getRemainingTimeInMillis() > 1000, context.getTenantId(), context.getXrayTraceId(),
            System.getProperty("com.amazonaws.xray.traceHeader"), Thread.currentThread().getName(),
            Thread.currentThread().getContextClassLoader() == getClass().getClassLoader(), System.getProperty("user.dir").equals(System.getenv("LAMBDA_TASK_ROOT")),
            System.getenv("MINE"),
        });
    }

    public String logs(String event, Context context) {
        System.out.println("out é");
        System.err.println("err");
        context.getLogger().log("plain");
        context.getLogger().log("two\nlines\n");
        context.getLogger().log("warned", LogLevel.WARN);
        context.getLogger().log("traced", LogLevel.TRACE);
        context.getLogger().log("bytes".getBytes());
        context.getLogger().log((String) null);
        LambdaRuntime.getLogger().log("library\n");
        return "logged";
    }

    public Object environment(String event) throws Exception {
        ProcessBuilder child = new ProcessBuilder("/bin/sh", "-c", "echo $MINE $STALE");
        child.environment();
        ProcessBuilder heir = new ProcessBuilder("/bin/sh", "-c", "echo $MINE $STALE $LAMBDA_TASK_ROOT; pwd");
        String[] inherited = said(heir).split("\\s+");
        return new Object[] {
            System.getenv("MINE"), System.getenv().get("STALE"), said(child), java.util.TimeZone.getDefault().getID(),
            getClass().getResource("/cases/Deeds.class") != null, new java.io.File("cases").isDirectory(),
            inherited[0], inherited.length, inherited[1].equals(inherited[2]),
        };
    }

    private static String said(ProcessBuilder child) throws Exception {
        return new String(child.start().getInputStream().readAllBytes()).trim();
    }

    public String interrupts(String event) {
        boolean was = Thread.currentThread().isInterrupted();
        Thread.currentThread().interrupt();
        return "" + was;
    }

    public String resource(String event) {
        return "" + (getClass().getResource("/cases/Deeds.class") != null) + getClass().getClassLoader().getParent().getClass().getSimpleName();
    }
}
