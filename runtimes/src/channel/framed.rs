//! The framed conversation: one socket pair, one write per call, one buffer for all that comes back.

use super::frame::{self, Frame, Parsed};
use super::large::Large;
use super::{ChannelError, Event, SendError};
use bytes::BytesMut;
use model::{Call, Import};
use rustix::io::{Errno, writev};
use rustix::net::{RecvFlags, recv};
use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};
use world::World;

const READ_BYTES: usize = 16 * 1024;
const FIRST_LOOK_BYTES: usize = 4096;
/// Most that is read ahead while a call is being written: an instance that logs a lot cannot block it.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// The platform's end of descriptor 3.
#[derive(Debug)]
pub struct Framed {
    /// Watched for reading only. Whoever watches a Unix socket for writing too is woken whenever the other end reads:
    /// twice more between two processes for every call.
    stream: Receiver,
    input: BytesMut,
    /// How much of the input is still in the socket too.
    seen_bytes: usize,
    large: bool,
    /// What is known of a large frame before it is read.
    coming: Box<Large>,
    hung_up: bool,
    phase: Phase,
    /// What it said of its imports, until somebody asks.
    imports: Vec<Import>,
    /// What it is told together with its first call.
    untold: Vec<u8>,
    /// The calls that it works on, in the order in which they were sent.
    running: VecDeque<String>,
    /// How many it may work on at once.
    most: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// The code is being loaded.
    Loading,
    /// Serves calls.
    Open,
    /// Nothing can be sent any more: it said goodbye, broke the protocol, or a write was cut short. Calls that it
    /// works on may still be answered.
    Over,
}

impl Framed {
    pub(super) fn new(control: std::os::unix::net::UnixStream, most: usize) -> std::io::Result<Self> {
        control.set_nonblocking(true)?;
        let stream = Receiver::from_owned_fd_unchecked(OwnedFd::from(control))?;
        let (input, running) = (BytesMut::new(), VecDeque::with_capacity(1));
        let mut framed = Self {
            stream,
            input,
            seen_bytes: 0,
            large: false,
            coming: Box::default(),
            hung_up: false,
            phase: Phase::Loading,
            imports: Vec::new(),
            untold: Vec::new(),
            running,
            most,
        };
        framed.look_at_first();
        Ok(framed)
    }

    pub(super) fn beginning_with(&mut self, told: Vec<u8>) {
        self.untold = told;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Open && self.running.len() < self.most && !self.hung_up
    }

    /// All of them in one write, as far as the socket takes it.
    pub(super) async fn send_all(&mut self, calls: &[(&Call, u64)]) -> Result<(), SendError> {
        match self.phase {
            Phase::Open if self.hung_up => return Err(ChannelError::Closed.into()),
            Phase::Open if self.running.len() + calls.len() <= self.most => {}
            Phase::Loading | Phase::Open => return Err(ChannelError::Busy.into()),
            Phase::Over => return Err(ChannelError::Closed.into()),
        }
        self.phase = Phase::Over;
        let heads: Vec<_> =
            calls.iter().map(|(call, deadline)| frame::invoke_head(call, *deadline)).collect();
        let untold = std::mem::take(&mut self.untold);
        let parts = heads.iter().zip(calls).flat_map(|(head, (call, _))| [&head[..], &call.payload[..]]);
        let mut parts: Vec<_> = std::iter::once(&untold[..]).chain(parts).map(IoSlice::new).collect();
        let mut left = &mut parts[..];
        let written = self.write(&mut left).await;
        // A call whose last byte is not on its way has not begun.
        let taken = written
            .as_ref()
            .map_or_else(|_| calls.len().saturating_sub(left.len().div_ceil(2)), |()| calls.len());
        self.running.extend(calls[..taken].iter().map(|(call, _)| call.request_id.clone()));
        written.map_err(|error| SendError { taken, error })?;
        self.phase = Phase::Open;
        if self.running.len() == 1 {
            self.look_at_once();
        }
        Ok(())
    }

    /// Asks the instance to end a call and to answer it with an error, so that it has room for another.
    pub(super) async fn cancel(&mut self, id: &str) -> Result<(), ChannelError> {
        if self.phase != Phase::Open || self.hung_up {
            return Err(ChannelError::Closed);
        }
        self.phase = Phase::Over;
        self.write(&mut &mut [IoSlice::new(&frame::cancel(id))][..]).await?;
        self.phase = Phase::Open;
        Ok(())
    }

    /// One that was there before it was known what for has often said that it is ready. Who waits to be told so waits for
    /// another turn of the reactor.
    fn look_at_first(&mut self) {
        let mut space = [MaybeUninit::uninit(); FIRST_LOOK_BYTES];
        if let Ok((said, _)) = rustix::io::read(&self.stream, &mut space[..]) {
            self.hung_up = said.is_empty();
            self.input.extend_from_slice(said);
        }
    }

    /// An instance on the same processor has often run by now: what it has said is seen without waiting to be told.
    /// It is taken out of the socket later, since that wakes the instance for nothing, which would keep the answer.
    fn look_at_once(&mut self) {
        let mut space = [MaybeUninit::uninit(); FIRST_LOOK_BYTES];
        self.let_go_of_seen();
        if let Ok(((said, _), _)) = recv(&self.stream, &mut space[..], RecvFlags::PEEK) {
            self.hung_up |= said.is_empty();
            self.input.extend_from_slice(said);
            self.seen_bytes = said.len();
        }
    }

    /// Takes out of the socket what is in the input already.
    fn let_go_of_seen(&mut self) {
        let mut space = [MaybeUninit::uninit(); FIRST_LOOK_BYTES];
        while self.seen_bytes > 0 {
            let most = self.seen_bytes.min(FIRST_LOOK_BYTES);
            match rustix::io::read(&self.stream, &mut space[..most]) {
                Ok((said, _)) if !said.is_empty() => self.seen_bytes -= said.len(),
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => {
                    self.hung_up = true;
                    self.seen_bytes = 0;
                }
            }
        }
    }

    /// Leaves in `parts` what is not written yet.
    async fn write(&mut self, parts: &mut &mut [IoSlice<'_>]) -> Result<(), ChannelError> {
        // What is empty is nothing left to do.
        IoSlice::advance_slices(parts, 0);
        while !parts.is_empty() {
            match writev(&self.stream, parts) {
                Ok(written) => IoSlice::advance_slices(parts, written),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait_to_write().await?,
                Err(Errno::PIPE) => return Err(ChannelError::Closed),
                Err(error) => return Err(std::io::Error::from(error).into()),
            }
        }
        Ok(())
    }

    /// Waits until more can be written, and reads meanwhile: an instance that is stuck in a write of its own
    /// would never read.
    async fn wait_to_write(&mut self) -> Result<(), ChannelError> {
        let may_read = self.input.len() < READ_AHEAD_BYTES && !self.hung_up;
        let watched = self.stream.as_fd().try_clone_to_owned()?;
        let watched = Sender::from_owned_fd_unchecked(watched)?;
        tokio::select! {
            writable = watched.writable() => writable?,
            readable = self.stream.readable(), if may_read => {
                readable?;
                self.read_ahead()?;
            }
        }
        Ok(())
    }

    pub(super) fn imports(&mut self) -> Vec<Import> {
        std::mem::take(&mut self.imports)
    }

    /// The next frame that was read as a whole.
    pub(super) fn said(&mut self) -> Option<Event> {
        self.parsed().ok()
    }

    /// The world whose memory answers take, and whose time passes while they wait for it.
    pub(super) fn within(&mut self, world: World) {
        self.coming.world = Some(world);
    }

    /// What the next frame means, or how many bytes of it are missing at least.
    fn parsed(&mut self) -> Result<Event, usize> {
        if let Some(dropped) = self.coming.drop_from(&mut self.input) {
            return dropped.map(|id| self.hear(Event::Dropped { id }));
        }
        match frame::parse(&mut self.input) {
            Ok(Parsed::Frame(frame)) => {
                let frame = self.coming.arrived(frame);
                self.let_go_of_large_buffer();
                Ok(self.accept(frame))
            }
            Ok(Parsed::Partial(missing)) => Err(missing),
            Err(problem) => Ok(self.violation(problem)),
        }
    }

    pub(super) async fn next(&mut self) -> Event {
        loop {
            let missing = match self.parsed() {
                Ok(event) => return event,
                Err(missing) => missing,
            };
            if self.hung_up {
                self.phase = Phase::Over;
                return Event::Closed;
            }
            self.let_go_of_seen();
            let most = self.coming.room_for(&self.input, missing).await;
            self.large |= missing > READ_AHEAD_BYTES;
            self.input.reserve(missing.min(most).max(READ_BYTES));
            // Unlike `try_read`, it knows that a socket that gave less than it was asked for is empty.
            if !matches!(self.stream.read_buf(&mut self.input).await, Ok(1..)) {
                self.hung_up = true;
            }
        }
    }

    /// An idle instance shall not hold the memory of its largest answer.
    fn let_go_of_large_buffer(&mut self) {
        if self.large && self.input.is_empty() {
            self.input = BytesMut::new();
            self.large = false;
        }
    }

    /// Reads what is there.
    fn read_ahead(&mut self) -> std::io::Result<()> {
        self.let_go_of_seen();
        self.input.reserve(READ_BYTES);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => self.hung_up = true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What the frame means, if it may come now.
    fn accept(&mut self, frame: Frame) -> Event {
        match frame {
            Frame::Ready(imports) if self.phase == Phase::Loading => {
                self.phase = Phase::Open;
                self.imports = imports;
                Event::Ready
            }
            Frame::Ready(_) => self.unexpected(&Event::Ready),
            Frame::LastError { id, json } => {
                let event = self.hear(Event::Error { id, json });
                self.phase = Phase::Over;
                event
            }
            Frame::Said(event) => self.hear(event),
        }
    }

    /// The event, if it may come now.
    fn hear(&mut self, event: Event) -> Event {
        let may_come = match &event {
            Event::Log { .. } => true,
            Event::InitError(_) => self.phase == Phase::Loading,
            Event::Response { id, .. } | Event::Error { id, .. } | Event::Dropped { id } => self.ends(id),
            Event::Ready | Event::Violation(_) | Event::Closed => false,
        };
        if !may_come {
            return self.unexpected(&event);
        }
        if matches!(event, Event::InitError(_)) {
            self.phase = Phase::Over;
        }
        event
    }

    /// Whether it works on the call, which is over then.
    fn ends(&mut self, id: &str) -> bool {
        let found = self.running.iter().position(|running| running == id);
        found.and_then(|index| self.running.remove(index)).is_some()
    }

    fn violation(&mut self, problem: String) -> Event {
        self.phase = Phase::Over;
        self.hung_up = true;
        self.input.clear();
        self.running.clear();
        Event::Violation(problem)
    }

    fn unexpected(&mut self, event: &Event) -> Event {
        let said = match event {
            Event::Ready => "ready".to_owned(),
            Event::InitError(_) => "an init error".to_owned(),
            Event::Response { id, .. } => format!("a response to {id:?}"),
            Event::Error { id, .. } => format!("an error for {id:?}"),
            Event::Dropped { id } => format!("an answer to {id:?}"),
            Event::Log { .. } | Event::Violation(_) | Event::Closed => "something".to_owned(),
        };
        let doing = match self.phase {
            Phase::Loading => "loading its code".to_owned(),
            Phase::Open if self.running.is_empty() => "idle".to_owned(),
            Phase::Open => format!("busy with {:?}", Vec::from(self.running.clone()).join(", ")),
            Phase::Over => "over".to_owned(),
        };
        self.violation(format!("{said} from an instance that is {doing}"))
    }
}
