//! Request bodies: bounded in size and time, refused by their announced length before a byte is read.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;
use world::World;

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Longer than allowed.
    TooLarge { limit_bytes: u64 },
    /// The client took too long.
    TooSlow { limit_s: u64 },
    /// The client broke off.
    Broken(String),
}

/// Reads a whole body of at most `limit_bytes`.
pub(crate) async fn read(
    parts: &Parts,
    mut body: Incoming,
    limit_bytes: u64,
    world: &World,
) -> Result<Bytes, BodyError> {
    let too_large = || BodyError::TooLarge { limit_bytes };
    let announced = announced_bytes(parts);
    if announced.is_some_and(|n| n > limit_bytes) {
        return Err(too_large());
    }
    if announced == Some(0) {
        return Ok(Bytes::new());
    }
    let limit_s = model::limit("body-timeout");
    let mut whole = BytesMut::new();
    let mut first = Bytes::new();
    let all = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| BodyError::Broken(e.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if (first.len() + whole.len() + data.len()) as u64 > limit_bytes {
                return Err(too_large());
            }
            if first.is_empty() && whole.is_empty() {
                first = data;
            } else {
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&data);
            }
        }
        Ok(if whole.is_empty() { std::mem::take(&mut first) } else { whole.split().freeze() })
    };
    tokio::select! {
        biased;
        done = all => done,
        () = world.sleep(Duration::from_secs(limit_s)) => Err(BodyError::TooSlow { limit_s }),
    }
}

fn announced_bytes(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
