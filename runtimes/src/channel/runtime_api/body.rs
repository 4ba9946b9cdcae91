//! Reads what a runtime posts: bounded, and with the error that may follow in its trailers.

use crate::channel::frame::ANSWER_BYTES;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

/// Beyond the limit, this much is read and dropped, so that a client that writes first and reads later sees the 413.
const DROPPED_BYTES: usize = 64 * 1024 * 1024;

/// A posted body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Posted {
    /// All of it.
    Whole(Bytes),
    /// The handler failed while it streamed its answer; the error that came in the trailers.
    Failed(Bytes),
    /// More than [`ANSWER_BYTES`].
    TooLarge,
    /// The connection ended within it.
    Truncated,
}

/// Reads a body to its end.
pub(super) async fn read(mut body: Incoming) -> Posted {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(if expected > ANSWER_BYTES { 0 } else { expected });
    let mut seen = 0_usize;
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return if seen > ANSWER_BYTES { Posted::TooLarge } else { Posted::Truncated };
        };
        match frame.into_data() {
            Ok(data) => {
                seen = seen.saturating_add(data.len());
                if seen <= ANSWER_BYTES {
                    bytes.extend_from_slice(&data);
                } else if seen > ANSWER_BYTES + DROPPED_BYTES {
                    return Posted::TooLarge;
                } else {
                    bytes = BytesMut::new();
                }
            }
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    if seen > ANSWER_BYTES {
        return Posted::TooLarge;
    }
    trailing_error(&trailers).map_or_else(|| Posted::Whole(bytes.freeze()), Posted::Failed)
}

/// The error that a streaming runtime sends after the part of the answer that it had.
fn trailing_error(trailers: &HeaderMap) -> Option<Bytes> {
    let kind = trailers.get(super::ERROR_TYPE)?;
    let body = trailers.get("lambda-runtime-function-error-body");
    let decoded = body.and_then(|text| STANDARD.decode(text.as_bytes()).ok()).filter(|json| !json.is_empty());
    Some(
        decoded
            .map_or_else(|| super::error_json(&super::error_type(Some(kind), "Function"), ""), Bytes::from),
    )
}
