//! Services and operations, as rows of static tables.

use crate::{Shape, Value};

/// The dialects this crate speaks. REST-XML and CBOR take their place here when a service needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// JSON bodies, with members bound to path, query string and headers.
    RestJson,
    /// `X-Amz-Target` and JSON 1.0.
    Json10,
    /// `X-Amz-Target` and JSON 1.1.
    Json11,
    /// Form in, XML out.
    Query,
}

/// A service.
#[derive(Debug)]
pub struct Service {
    /// The crate's own short name, such as `lambda`.
    pub name: &'static str,
    /// The service part of a credential scope.
    pub signing_name: &'static str,
    /// Its dialect.
    pub protocol: Protocol,
    /// What stands before the dot in `X-Amz-Target`; empty where there is none.
    pub target_prefix: &'static str,
    /// The model's version, such as `2015-03-31`.
    pub api_version: &'static str,
    /// XML namespace of its answers; empty where there is none.
    pub xmlns: &'static str,
    /// JSON service that once spoke query: errors also carry the old code in `x-amzn-query-error`.
    pub query_compatible: bool,
    /// The code under which this service reports input that breaks the model's constraints.
    pub validation_code: &'static str,
    /// Every operation of the model, served or not.
    pub operations: &'static [Operation],
}

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// Such as `CreateFunction`.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path template with `{Label}` and `{Label+}`, and fixed query parameters after `?`.
    pub path: &'static str,
    /// HTTP status of success.
    pub status: u16,
    /// The request's shape, where it is served and takes input.
    pub input: Option<&'static Shape>,
    /// The answer's shape, where it is served and gives output.
    pub output: Option<&'static Shape>,
    /// The element around a query answer, such as `GetCallerIdentityResult`.
    pub result_wrapper: Option<&'static str>,
    /// The errors that the model names.
    pub errors: &'static [&'static Shape],
    /// The IAM action, such as `lambda:InvokeFunction`.
    pub action: &'static str,
    /// What the action is done to.
    pub resource: Resource,
    /// Whether it is served; else its answer is a named error.
    pub served: bool,
    /// Whether the model lets it be called without a signature.
    pub unsigned: bool,
}

/// Which input member names the resource of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// None: the action is on `*`.
    Any,
    /// A function, in any form that a client may write.
    Function {
        /// The input member.
        member: &'static str,
    },
    /// An ARN.
    Arn {
        /// The input member.
        member: &'static str,
    },
    /// A log group's name or ARN: the first of these members that is present.
    LogGroup {
        /// The input members.
        members: &'static [&'static str],
    },
}

impl Operation {
    /// A row for an operation that is not served.
    pub const fn unserved(
        name: &'static str,
        method: &'static str,
        path: &'static str,
        action: &'static str,
    ) -> Self {
        Self {
            name,
            method,
            path,
            status: 200,
            input: None,
            output: None,
            result_wrapper: None,
            errors: &[],
            action,
            resource: Resource::Any,
            served: false,
            unsigned: false,
        }
    }

    /// The same row for an operation that its model lets anybody call.
    pub const fn unsigned(self) -> Self {
        Self { unsigned: true, ..self }
    }

    /// The text of a member of a decoded call, where the operation has such a member and the call has it.
    pub fn member_text<'v>(&self, input: &'v Value, member: &str) -> Option<&'v str> {
        input.member(self.input?, member)?.as_str()
    }

    /// The text with which the caller named the resource, as decoded; `None` where the action is on `*`.
    pub fn resource_text<'v>(&self, input: &'v Value) -> Option<&'v str> {
        let text = |member: &str| self.member_text(input, member);
        match self.resource {
            Resource::Any => None,
            Resource::Function { member } | Resource::Arn { member } => text(member),
            Resource::LogGroup { members } => members.iter().find_map(|member| text(member)),
        }
    }
}

impl Service {
    /// The operation `name`.
    pub fn operation(&self, name: &str) -> Option<&'static Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }
}
