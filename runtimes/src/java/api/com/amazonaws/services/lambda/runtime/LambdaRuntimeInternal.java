package com.amazonaws.services.lambda.runtime;

/** Set by the appender of `aws-lambda-java-log4j2`, which wants the request id in Log4j's thread context. */
public final class LambdaRuntimeInternal {
    private static boolean useLog4jAppender;

    private LambdaRuntimeInternal() {}

    public static void setUseLog4jAppender(boolean use) {
        useLog4jAppender = use;
    }

    public static boolean getUseLog4jAppender() {
        return useLog4jAppender;
    }
}
