package dayfly.runtime;

import java.lang.reflect.Method;

/** Gives Log4j the request id under the name that AWS's appender prints. */
final class Log4j {
    private static final String NAME = "AWSRequestId";

    private Log4j() {}

    static void put(String id) {
        boolean known = put("org.apache.logging.log4j.ThreadContext", String.class, id);
        if (!known && !put("org.apache.log4j.MDC", Object.class, id)) {
            System.err.println("Customer using log4j appender but unable to load either "
                    + "org.apache.log4j.MDC or org.apache.logging.log4j.ThreadContext. "
                    + "Customer cannot see RequestId in log4j log lines.");
        }
    }

    private static boolean put(String owner, Class<?> value, String id) {
        try {
            Class<?> context = Class.forName(owner, true, Thread.currentThread().getContextClassLoader());
            Method put = context.getMethod("put", String.class, value);
            put.invoke(null, NAME, id);
            return true;
        } catch (ReflectiveOperationException | LinkageError missing) {
            return false;
        }
    }
}
