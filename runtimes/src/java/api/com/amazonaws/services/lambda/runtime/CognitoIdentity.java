package com.amazonaws.services.lambda.runtime;

/** Who the caller is to Cognito. */
public interface CognitoIdentity {
    String getIdentityId();

    String getIdentityPoolId();
}
