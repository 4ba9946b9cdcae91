//! Answers that take memory which others may need: room is made before one is read, and what finds none is let go of.

use super::Event;
use super::frame::{ANSWER_HEAD_BYTES, Frame, answer_ahead};
use bytes::{Buf, BytesMut};
use std::time::Duration;
use world::{Moment, Share, Way, World};

/// The most that an answer waits for room.
pub(super) const PATIENCE: Duration = Duration::from_millis(model::limit("answer-room-wait"));

/// Room for an answer, unless there is none until then.
pub(super) async fn room(world: &World, bytes: usize, until: Moment) -> Option<Share> {
    let bytes = bytes as u64;
    if let Some(share) = world.room().try_take(Way::Back, bytes) {
        return Some(share);
    }
    tokio::select! {
        biased;
        share = world.room().take(Way::Back, bytes) => Some(share),
        () = world.sleep(until - world.moment()) => None,
    }
}

/// The large answer that is coming in.
#[derive(Debug, Default)]
pub(super) struct Large {
    /// Without one there is room for everything.
    pub(super) world: Option<World>,
    /// What was taken for it.
    share: Option<Share>,
    /// Until when it waits.
    patience: Option<Moment>,
    /// Whose answer is let go of, and how much of it is still to come.
    dropping: Option<(String, usize)>,
}

impl Large {
    /// Sees to it that there is room for the rest of a frame, whose beginning is in `input`. The most that may be read
    /// now. Cancel-safe.
    pub(super) async fn room_for(&mut self, input: &BytesMut, missing: usize) -> usize {
        if self.dropping.is_some() {
            return 0;
        }
        let (Some(world), None) = (&self.world, &self.share) else { return missing };
        let Some((frame_bytes, id)) = answer_ahead(input) else {
            return if input.len() < ANSWER_HEAD_BYTES { 0 } else { missing };
        };
        if Share::is_trifle(frame_bytes as u64) {
            return missing;
        }
        let until = self.patience.get_or_insert_with(|| world.moment() + PATIENCE);
        self.share = room(world, frame_bytes, *until).await;
        if self.share.is_none() {
            self.dropping = Some((String::from_utf8_lossy(id).into_owned(), frame_bytes));
            return 0;
        }
        missing
    }

    /// Takes what is let go of out of the input. `Ok`: whose answer it was; `Err`: so much is still to come.
    pub(super) fn drop_from(&mut self, input: &mut BytesMut) -> Option<Result<String, usize>> {
        let (id, mut left) = self.dropping.take()?;
        let here = left.min(input.len());
        input.advance(here);
        left -= here;
        if left > 0 {
            self.dropping = Some((id, left));
            return Some(Err(1));
        }
        self.patience = None;
        Some(Ok(id))
    }

    /// An answer is there as a whole: it holds what was taken for it.
    pub(super) fn arrived(&mut self, frame: Frame) -> Frame {
        let Frame::Said(event @ (Event::Response { .. } | Event::Error { .. })) = frame else { return frame };
        self.patience = None;
        let Some(share) = self.share.take() else { return Frame::Said(event) };
        Frame::Said(match event {
            Event::Response { id, body } => Event::Response { id, body: share.around(body) },
            Event::Error { id, json } => Event::Error { id, json: share.around(json) },
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Channel;
    use super::*;
    use model::Call;
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use world::Room;

    const LARGE: usize = 2 << 20;

    async fn next(channel: &mut Channel) -> Event {
        tokio::time::timeout(Duration::from_secs(20), channel.next()).await.expect("an event in time")
    }

    /// All of a world's room for answers, if it is free.
    fn all(world: &World) -> Option<Share> {
        world.room().try_take(Way::Back, world.room().most_bytes(Way::Back))
    }

    /// A large answer that finds no room, and one that does, on a channel over which `answer` says them.
    async fn check(mut channel: Channel, world: World, answer: impl Fn(&str)) {
        assert_eq!(next(&mut channel).await, Event::Ready);
        let held = all(&world).expect("nobody else has any");
        let call = |id: &str| Call { request_id: id.into(), ..Call::default() };
        channel.send(&call("a"), 1).await.unwrap();
        answer("a");
        let early = tokio::time::timeout(Duration::from_millis(300), channel.next()).await;
        assert!(early.is_err(), "{early:?} while it waits for room");
        world.advance(PATIENCE);
        assert_eq!(next(&mut channel).await, Event::Dropped { id: "a".into() });
        assert!(channel.is_idle(), "the instance has done its part");
        drop(held);
        channel.send(&call("b"), 1).await.unwrap();
        answer("b");
        let Event::Response { id, body } = next(&mut channel).await else { panic!("no response") };
        assert!(id == "b" && body.len() == LARGE && all(&world).is_none());
        drop(body);
        assert!(all(&world).is_some(), "given back");
    }

    #[tokio::test]
    async fn a_framed_answer_waits_for_room_and_is_let_go_of_without_any() {
        let world = World::simulated(1).with_room(Room::of(64 << 20));
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(&[0, 0, 0, 0, 16]).unwrap();
        check(Channel::framed(ours, 1).unwrap().within(&world), world, |id| {
            let length = u32::try_from(LARGE + 2).unwrap().to_le_bytes();
            let frame = [&length[..], &[18, 1], id.as_bytes(), &[b'x'; LARGE]].concat();
            let mut theirs = theirs.try_clone().unwrap();
            std::thread::spawn(move || theirs.write_all(&frame));
        })
        .await;
    }

    /// Asks for a call, and answers the one before first.
    fn polls(address: SocketAddr, answered: Option<&str>) {
        let mut requests = String::new();
        if let Some(id) = answered {
            let body = "x".repeat(LARGE);
            requests += &format!(
                "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n{body}"
            );
        }
        requests += "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(requests.as_bytes()).unwrap();
            std::io::copy(&mut stream, &mut std::io::sink())
        });
    }

    #[tokio::test]
    async fn a_posted_answer_waits_for_room_and_is_let_go_of_without_any() {
        let world = World::simulated(1).with_room(Room::of(64 << 20));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let channel = Channel::runtime_api(listener, 1).unwrap().within(&world);
        polls(address, None);
        check(channel, world, |id| polls(address, Some(id))).await;
    }
}
