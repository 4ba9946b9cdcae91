//! Request bodies: bounded in size and time, each and all together. What a large one will hold on its way is taken of the
//! world's room before a byte of it is read, going by its announced length.

use crate::connections::Side;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;
use world::{Share, Way, World};

/// What a client is told when there is no room for its body.
pub(crate) const NO_ROOM: &str =
    "Too many large requests at once; see `dayfly limits`: room-bytes. Try again in a second.";

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Longer than allowed.
    TooLarge { limit_bytes: u64 },
    /// Longer than this machine has memory for, whatever else goes on.
    NeverFits { most_bytes: u64 },
    /// The client took too long.
    TooSlow { limit_s: u64 },
    /// The client broke off.
    Broken(String),
    /// Other requests and what became of them fill the memory that there is.
    NoRoom,
}

/// What a body may be, and what is made of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    /// The longest.
    pub(crate) limit_bytes: u64,
    /// The most that is held of it at any time, in percent of its length.
    pub(crate) held_percent: u64,
}

/// A body, and the memory that was taken for it and for what is made of it.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    pub(crate) share: Share,
}

impl Bound {
    /// What is held at most of a body of that length.
    fn held(self, body_bytes: u64) -> u64 {
        body_bytes.saturating_mul(self.held_percent) / 100
    }

    /// The longest body that this machine has memory for.
    fn most_bytes(self, room_bytes: u64) -> u64 {
        room_bytes / self.held_percent * 100
    }
}

/// Whose memory a request takes.
pub(crate) fn way(parts: &Parts) -> Way {
    match parts.extensions.get::<Side>() {
        Some(Side::Inside(_)) => Way::FromFunctions,
        _ => Way::FromOutside,
    }
}

/// Reads a whole body.
pub(crate) async fn read(
    parts: &Parts,
    mut body: Incoming,
    bound: Bound,
    world: &World,
) -> Result<Body, BodyError> {
    let (way, limit_bytes) = (way(parts), bound.limit_bytes);
    let announced = announced_bytes(parts);
    if announced.is_some_and(|bytes| bytes > limit_bytes) {
        return Err(BodyError::TooLarge { limit_bytes });
    }
    if announced == Some(0) {
        return Ok(Body { bytes: Bytes::new(), share: Share::default() });
    }
    let mut share = match announced {
        Some(bytes) => Some(room(world, way, bound, bytes).await?),
        None => None,
    };
    let limit_s = model::limit("body-timeout");
    let (mut whole, mut first) = (BytesMut::new(), Bytes::new());
    let all = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| BodyError::Broken(e.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let bytes = first.len() + whole.len() + data.len();
            if bytes as u64 > limit_bytes {
                return Err(BodyError::TooLarge { limit_bytes });
            }
            if share.is_none() && !Share::is_trifle(bytes as u64) {
                // It does not say how long it is: memory that is asked for twice is waited for crosswise.
                let most = limit_bytes.min(bound.most_bytes(world.room().most_bytes(way)));
                share = Some(room(world, way, bound, most.max(bytes as u64)).await?);
            }
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
        let bytes = if whole.is_empty() { std::mem::take(&mut first) } else { whole.split().freeze() };
        Ok(Body { bytes, share: share.unwrap_or_default() })
    };
    tokio::select! {
        biased;
        done = all => done,
        () = world.sleep(Duration::from_secs(limit_s)) => Err(BodyError::TooSlow { limit_s }),
    }
}

/// Memory for a body of that length and what is made of it, as soon as there is some.
async fn room(world: &World, way: Way, bound: Bound, body_bytes: u64) -> Result<Share, BodyError> {
    let held = bound.held(body_bytes);
    if Share::is_trifle(held) {
        return Ok(Share::default());
    }
    let room = world.room();
    if held > room.most_bytes(way) {
        return Err(BodyError::NeverFits { most_bytes: bound.most_bytes(room.most_bytes(way)) });
    }
    if let Some(share) = room.try_take(way, held) {
        return Ok(share);
    }
    tokio::select! {
        biased;
        share = room.take(way, held) => Ok(share),
        () = world.sleep(Duration::from_secs(model::limit("request-room-wait"))) => Err(BodyError::NoRoom),
    }
}

fn announced_bytes(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::Room;

    const MIB: u64 = 1024 * 1024;

    #[tokio::test]
    async fn who_finds_no_room_waits_for_some_time_or_is_told_at_once() {
        let world = World::simulated(1).with_room(Room::of(64 * MIB));
        let bound = Bound { limit_bytes: 70 * MIB, held_percent: 200 };
        let never = room(&world, Way::FromOutside, bound, 10 * MIB).await.map(drop);
        assert_eq!(never, Err(BodyError::NeverFits { most_bytes: 18 * MIB / 200 * 100 }));
        let held = room(&world, Way::FromOutside, bound, 6 * MIB).await.expect("it is free");
        let small = room(&world, Way::FromOutside, bound, 1024).await.expect("is not counted");
        let waits = world.clone();
        let second =
            tokio::spawn(async move { room(&waits, Way::FromOutside, bound, 6 * MIB).await.map(drop) });
        let waits = world.clone();
        let third = tokio::spawn(async move { room(&waits, Way::FromOutside, bound, 6 * MIB).await });
        tokio::task::yield_now().await;
        world.advance(Duration::from_secs(model::limit("request-room-wait")));
        assert_eq!(second.await.unwrap(), Err(BodyError::NoRoom));
        assert_eq!(third.await.unwrap().map(drop), Err(BodyError::NoRoom));
        drop((held, small));
        assert!(room(&world, Way::FromOutside, bound, 6 * MIB).await.is_ok(), "given back");
    }
}
