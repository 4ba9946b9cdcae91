//! What the gateway asks of the function service while a request waits. Answers come from memory.

use crate::Cors;
use access::policy::Document;
use model::{Egress, FunctionAddress, FunctionName, Version};
use std::sync::Arc;

/// Facts about functions that the way in needs.
pub trait FunctionFacts: Send + Sync {
    /// What a function URL leads to.
    fn url(&self, url_id: &str) -> Option<UrlTarget>;

    /// The resource policy of a function or of one of its published versions, where it has one.
    fn policy(&self, address: &FunctionAddress) -> Option<Arc<Document>>;

    /// How far out a function may connect.
    fn egress(&self, name: &FunctionName) -> Egress;
}

/// Where a function URL leads, and who may use it.
#[derive(Clone)]
pub struct UrlTarget {
    /// What runs.
    pub version: Arc<Version>,
    /// How callers are identified.
    pub auth: UrlAuth,
    /// Cross-origin rules, where the owner set some.
    pub cors: Option<Arc<Cors>>,
    /// The function's resource policy, where it has one.
    pub policy: Option<Arc<Document>>,
}

/// The AuthType of a function URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlAuth {
    /// Anyone whom the resource policy lets in.
    None,
    /// Signed requests only.
    AwsIam,
}

impl UrlAuth {
    /// As AWS writes it; the value of the condition key `lambda:FunctionUrlAuthType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::AwsIam => "AWS_IAM",
        }
    }
}
