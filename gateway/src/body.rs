//! Request bodies: bounded in size and time, each and all together, refused by their announced length before a byte
//! is read.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use world::World;

/// Memory for bodies is counted in these. A body shorter than one is not counted: there are no more of them than
/// connections.
const UNIT_BYTES: usize = 16 * 1024;

/// What a client is told when there is no room for its body.
pub(crate) const NO_ROOM: &str =
    "Too many large requests at once; see `dayfly limits`: bodies-bytes. Try again in a second.";

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Longer than allowed.
    TooLarge { limit_bytes: u64 },
    /// The client took too long.
    TooSlow { limit_s: u64 },
    /// The client broke off.
    Broken(String),
    /// The bodies of other requests fill the memory that there is for them.
    NoRoom,
}

/// The memory for the bodies of all requests.
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    /// Room for so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(Semaphore::new(usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT_BYTES)))
    }
}

/// What one body holds of the room.
struct Share<'a> {
    room: &'a Room,
    held: Option<OwnedSemaphorePermit>,
}

impl Share<'_> {
    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = (bytes / UNIT_BYTES).saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).map_err(|_| BodyError::NoRoom)?;
        let more = Arc::clone(&self.room.0).try_acquire_many_owned(more).map_err(|_| BodyError::NoRoom)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// The body, which gives its share back when nobody has it any more.
    fn around(self, body: Bytes) -> Bytes {
        match self.held {
            None => body,
            Some(share) => Bytes::from_owner(Counted { body, _share: share }),
        }
    }
}

struct Counted {
    body: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Reads a whole body of at most `limit_bytes`.
pub(crate) async fn read(
    parts: &Parts,
    mut body: Incoming,
    limit_bytes: u64,
    (room, world): (&Room, &World),
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
    let mut share = Share { room, held: None };
    let all = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| BodyError::Broken(e.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let bytes = first.len() + whole.len() + data.len();
            if bytes as u64 > limit_bytes {
                return Err(too_large());
            }
            share.grow(bytes)?;
            if first.is_empty() && whole.is_empty() {
                first = data;
            } else {
                if whole.is_empty() {
                    // All of it at once: memory that grows by doubling is held twice over.
                    whole.reserve(announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(bytes));
                }
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&data);
            }
        }
        let body = if whole.is_empty() { std::mem::take(&mut first) } else { whole.split().freeze() };
        Ok(share.around(body))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_one_room_and_give_it_back() {
        let room = Room::new(4 * UNIT_BYTES as u64);
        let take = |bytes: usize| {
            let mut share = Share { room: &room, held: None };
            share.grow(bytes / 2)?;
            share.grow(bytes)?;
            Ok::<_, BodyError>(share.around(Bytes::from(vec![b'x'; bytes])))
        };
        let small: Vec<_> = (0..9).map(|_| take(UNIT_BYTES - 1).expect("is not counted")).collect();
        let large = take(3 * UNIT_BYTES).expect("fits");
        let slice = large.slice(..9);
        assert_eq!(take(2 * UNIT_BYTES), Err(BodyError::NoRoom));
        drop((small, large));
        assert_eq!(take(2 * UNIT_BYTES), Err(BodyError::NoRoom), "a part of it is still in use");
        drop(slice);
        assert_eq!(take(4 * UNIT_BYTES).expect("fits again").len(), 4 * UNIT_BYTES);
        assert_eq!(take(5 * UNIT_BYTES), Err(BodyError::NoRoom));
        assert!(take(4 * UNIT_BYTES).is_ok(), "what was refused holds nothing");
    }
}
