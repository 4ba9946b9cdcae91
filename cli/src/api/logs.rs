//! CloudWatch Logs' operations.

use crate::client::{CallError, Client, Request};
use http::Method;
use serde::Deserialize;
use serde_json::json;

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// Unique within the group.
    pub event_id: String,
    /// The instance's stream.
    pub log_stream_name: String,
    /// Milliseconds since 1970 UTC.
    pub timestamp: u64,
    /// The line.
    pub message: String,
}

/// Some lines, and where the next ones are.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Page {
    /// The lines, oldest first.
    pub events: Vec<Event>,
    /// Continues after them.
    pub next_token: Option<String>,
}

/// What to look for.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The group.
    pub group: &'a str,
    /// From this millisecond on.
    pub since_ms: u64,
    /// A filter pattern.
    pub pattern: Option<&'a str>,
    /// From the page before.
    pub token: Option<String>,
}

/// FilterLogEvents, one page.
pub async fn filter(client: &Client, question: &Question<'_>) -> Result<Page, CallError> {
    let mut body = json!({ "logGroupName": question.group, "startTime": question.since_ms });
    if let Some(pattern) = question.pattern {
        body["filterPattern"] = json!(pattern);
    }
    if let Some(token) = &question.token {
        body["nextToken"] = json!(token);
    }
    let mut request = Request::new("FilterLogEvents", "logs", Method::POST, "/".into()).json(&body);
    request.headers = vec![
        ("content-type", "application/x-amz-json-1.1".into()),
        ("x-amz-target", "Logs_20140328.FilterLogEvents".into()),
    ];
    client.call(request).await
}
