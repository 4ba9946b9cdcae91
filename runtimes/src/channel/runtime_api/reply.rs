//! Replies of the Runtime API, with AWS's statuses and bodies.

use super::conversation::{Delivery, Refusal};
use crate::channel::frame::ANSWER_BYTES;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use model::Call;

pub(super) type Reply = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn accepted() -> Reply {
    json(StatusCode::ACCEPTED, r#"{"status":"OK"}"#.into())
}

pub(super) fn pong() -> Reply {
    Response::new(Full::from("pong"))
}

pub(super) fn not_found() -> Reply {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

pub(super) fn method_not_allowed() -> Reply {
    plain(StatusCode::METHOD_NOT_ALLOWED, "")
}

pub(super) fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::InvalidRequestId => error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        Refusal::InvalidStateTransition(from, to) => {
            let text = format!(
                "State transition from {from:?} to {to:?} failed for runtime. Error: State transition is not allowed"
            );
            error(StatusCode::FORBIDDEN, "InvalidStateTransition", &text)
        }
    }
}

pub(super) fn too_large() -> Reply {
    let text = format!("Exceeded maximum allowed payload size ({ANSWER_BYTES} bytes).");
    let mut reply = error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &text);
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

pub(super) fn truncated() -> Reply {
    error(StatusCode::BAD_REQUEST, "TruncatedHTTPRequest", "HTTP request detected as truncated")
}

pub(super) fn invalid_response_mode() -> Reply {
    error(StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode", "Invalid function response mode")
}

pub(super) fn delivery(delivery: &Delivery) -> Reply {
    let mut reply = Response::new(Full::new(delivery.event.clone()));
    reply.headers_mut().clone_from(&delivery.headers);
    reply
}

/// A call as the runtime shall see it; what is empty or absent has no header.
pub(super) fn deliverable(call: &Call, deadline_ms: u64) -> Delivery {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, JSON);
    let mut insert = |name: &'static str, text: &str| {
        // A pretty-printed client context has line breaks, which mean as little to JSON as blanks do.
        let one_line = text.replace(|c: char| c.is_ascii_control(), " ");
        if let Ok(value) = HeaderValue::from_bytes(one_line.as_bytes())
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    };
    insert("lambda-runtime-aws-request-id", &call.request_id);
    insert("lambda-runtime-trace-id", call.trace.as_deref().unwrap_or_default());
    insert("lambda-runtime-client-context", call.client_context.as_deref().unwrap_or_default());
    insert("lambda-runtime-invoked-function-arn", &call.invoked_arn);
    insert("lambda-runtime-deadline-ms", &deadline_ms.to_string());
    Delivery { id: call.request_id.clone(), headers, event: call.payload.clone() }
}

fn error(status: StatusCode, kind: &str, message: &str) -> Reply {
    json(status, serde_json::json!({ "errorMessage": message, "errorType": kind }).to_string())
}

fn json(status: StatusCode, body: String) -> Reply {
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

fn plain(status: StatusCode, body: &'static str) -> Reply {
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = status;
    reply
}
