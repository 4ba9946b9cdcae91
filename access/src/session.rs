//! Credentials of running functions. Stateless: the token carries its claims and a MAC.

use serde::{Deserialize, Serialize};

/// What a session token says about its bearer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionClaims {
    /// The unqualified function ARN.
    #[serde(rename = "f")]
    pub function_arn: String,
    /// The execution role's ARN.
    #[serde(rename = "r")]
    pub role_arn: String,
    /// The instance that the credentials were given to.
    #[serde(rename = "i")]
    pub instance: String,
    /// Seconds since 1970 at which they end.
    #[serde(rename = "e")]
    pub expires_s: u64,
}

/// What a function finds in its environment.
#[derive(Clone, PartialEq, Eq)]
pub struct FunctionCredentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub token: String,
}
