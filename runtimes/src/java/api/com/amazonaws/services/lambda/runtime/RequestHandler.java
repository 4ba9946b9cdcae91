package com.amazonaws.services.lambda.runtime;

/** A handler of Java values. */
public interface RequestHandler<I, O> {
    O handleRequest(I input, Context context);
}
