package com.amazonaws.services.lambda.runtime;

/** Where libraries find the logger. The bootstrap puts its own here. */
public final class LambdaRuntime {
    private static volatile LambdaLogger logger;

    private LambdaRuntime() {}

    public static LambdaLogger getLogger() {
        return logger;
    }
}
