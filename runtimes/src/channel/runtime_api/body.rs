//! Reads what a runtime posts: bounded, and with the error that may follow in its trailers.

use crate::channel::frame::ANSWER_BYTES;
use crate::channel::large::{PATIENCE, room};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use world::{Share, World};

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
    /// No memory came free for it.
    Dropped,
    /// The connection ended within it.
    Truncated,
}

/// Reads a body to its end. A large one takes memory of the world's room first.
pub(super) async fn read(mut body: Incoming, world: Option<&World>) -> Posted {
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let expected = announced.unwrap_or(ANSWER_BYTES).min(ANSWER_BYTES);
    let mut bytes = BytesMut::new();
    let (mut share, mut dropped) = (None, false);
    let mut seen = 0_usize;
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return if seen > ANSWER_BYTES { Posted::TooLarge } else { Posted::Truncated };
        };
        match frame.into_data() {
            Ok(data) => {
                seen = seen.saturating_add(data.len());
                let unasked = share.is_none() && !dropped && !Share::is_trifle(seen as u64);
                if let (Some(world), true) = (world, unasked) {
                    share = room(world, expected, world.moment() + PATIENCE).await;
                    dropped |= share.is_none();
                }
                if seen <= ANSWER_BYTES && !dropped {
                    bytes.reserve(announced.map_or(0, |_| expected.saturating_sub(bytes.len())));
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
    if dropped {
        return Posted::Dropped;
    }
    let whole = || Posted::Whole(share.unwrap_or_default().around(bytes.freeze()));
    trailing_error(&trailers).map_or_else(whole, Posted::Failed)
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
