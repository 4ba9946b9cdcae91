//! The conversation with one instance.

mod frame;
mod framed;
mod imports;
mod large;
mod runtime_api;
mod waiting;

pub(crate) use frame::load;
pub use framed::Framed;
pub use runtime_api::RuntimeApi;
pub use waiting::waits;

use bytes::Bytes;
use model::{Call, FunctionError, Import};
use world::World;

/// Something that an instance said, or that its silence means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It has loaded the code and waits for work.
    Ready,
    /// The code could not be loaded; JSON in AWS's error shape. The process ends after it.
    InitError(Bytes),
    /// The handler returned.
    Response {
        /// The call's request id.
        id: String,
        /// The answer, as bytes of the client.
        body: Bytes,
    },
    /// The handler failed.
    Error {
        /// The call's request id.
        id: String,
        /// What the caller gets: usually `errorType`, `errorMessage` and the client's own fields.
        json: Bytes,
    },
    /// It answered, and no memory came free for the answer, which nobody will see.
    Dropped {
        /// The call's request id.
        id: String,
    },
    /// One whole log record, which may have several lines.
    Log {
        /// When it was written, microseconds since 1970 UTC, by the instance's clock.
        stamp_us: u64,
        /// The text, without a final newline.
        message: Bytes,
    },
    /// It broke the protocol and must be retired.
    Violation(String),
    /// It hung up; the process has ended or will. Only framed channels notice.
    Closed,
}

/// Why a call could not be handed over. The instance must be retired; the call may go to another.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The instance has hung up or has said that it will.
    #[error("the instance has closed its channel")]
    Closed,
    /// It works on as many calls as it may, or is not ready yet.
    #[error("the instance is not waiting for a call")]
    Busy,
    /// The operating system refused.
    #[error("the channel failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Why calls could not be handed over, and how many of them, from the first on, the instance may have taken.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SendError {
    /// So many.
    pub taken: usize,
    /// The reason.
    pub error: ChannelError,
}

impl From<ChannelError> for SendError {
    fn from(error: ChannelError) -> Self {
        Self { taken: 0, error }
    }
}

/// One instance's channel. An answer to any call but those that it works on never becomes an event.
#[derive(Debug)]
pub enum Channel {
    /// Frames on a socket pair.
    Framed(Framed),
    /// The HTTP Runtime API.
    RuntimeApi(RuntimeApi),
}

impl Channel {
    /// Frames over the server's end of the control socket, with at most `most` calls at once. Needs a tokio runtime.
    pub fn framed(control: std::os::unix::net::UnixStream, most: u32) -> std::io::Result<Self> {
        Framed::new(control, at_once(most)).map(Self::Framed)
    }

    /// Serves the HTTP Runtime API on a listener inside the sandbox, with at most `most` calls at once. Needs a tokio
    /// runtime.
    pub fn runtime_api(listener: std::net::TcpListener, most: u32) -> std::io::Result<Self> {
        RuntimeApi::new(listener, at_once(most)).map(Self::RuntimeApi)
    }

    /// Large answers take memory of this world's room before they are read. Without this there is room for all.
    #[must_use]
    pub fn within(mut self, world: &World) -> Self {
        match &mut self {
            Self::Framed(framed) => framed.within(world.clone()),
            Self::RuntimeApi(api) => api.within(world.clone()),
        }
        self
    }

    /// What an instance that is ready without it is told together with its first call.
    #[must_use]
    pub fn beginning_with(mut self, told: Vec<u8>) -> Self {
        if let Self::Framed(framed) = &mut self {
            framed.beginning_with(told);
        }
        self
    }

    /// Hands over a call to an instance that is ready. `deadline_ms`: milliseconds since 1970 UTC.
    /// A `send` that is dropped before it returns leaves the channel unusable.
    pub async fn send(&mut self, call: &Call, deadline_ms: u64) -> Result<(), ChannelError> {
        self.send_all(&[(call, deadline_ms)]).await.map_err(|failed| failed.error)
    }

    /// Hands over several calls at once, each with its deadline.
    pub async fn send_all(&mut self, calls: &[(&Call, u64)]) -> Result<(), SendError> {
        match self {
            Self::Framed(framed) => framed.send_all(calls).await,
            Self::RuntimeApi(api) => {
                for (taken, (call, deadline_ms)) in calls.iter().enumerate() {
                    api.send(call, *deadline_ms).map_err(|error| SendError { taken, error })?;
                }
                Ok(())
            }
        }
    }

    /// What the instance has said by now and nobody has heard yet, as far as that is known without asking.
    pub fn said(&mut self) -> Option<Event> {
        match self {
            Self::Framed(framed) => framed.said(),
            Self::RuntimeApi(_) => None,
        }
    }

    /// Asks an instance whose calls end one by one to end this one; it answers the call with an error, if it has not
    /// answered. A `cancel` that is dropped before it returns leaves the channel unusable.
    ///
    /// # Errors
    /// It cannot: over the Runtime API, or because the instance has hung up.
    pub async fn cancel(&mut self, id: &str) -> Result<(), ChannelError> {
        match self {
            Self::Framed(framed) => framed.cancel(id).await,
            Self::RuntimeApi(_) => Err(ChannelError::Closed),
        }
    }

    /// The next event. Cancel-safe: a `next` that is dropped loses nothing.
    pub async fn next(&mut self) -> Event {
        match self {
            Self::Framed(framed) => framed.next().await,
            Self::RuntimeApi(api) => api.next().await,
        }
    }

    /// What took long to import, as the instance said when it became ready. Asked once.
    pub fn imports(&mut self) -> Vec<Import> {
        match self {
            Self::Framed(framed) => framed.imports(),
            Self::RuntimeApi(_) => Vec::new(),
        }
    }

    /// Whether the instance waits for a call, or for one more, as far as is known without asking it.
    pub fn is_idle(&self) -> bool {
        match self {
            Self::Framed(framed) => framed.is_idle(),
            Self::RuntimeApi(api) => api.is_idle(),
        }
    }

    /// Whether the instance may have begun the calls that were sent. If it ends before, the call can go elsewhere.
    pub fn has_taken(&self) -> bool {
        match self {
            Self::Framed(_) => true,
            Self::RuntimeApi(api) => api.has_taken(),
        }
    }
}

fn at_once(most: u32) -> usize {
    usize::try_from(most.max(1)).unwrap_or(usize::MAX)
}

/// The error for an answer of more than 6 MiB, as AWS words it.
fn answer_too_large() -> FunctionError {
    let bytes = frame::ANSWER_BYTES;
    FunctionError {
        kind: "Function.ResponseSizeTooLarge".into(),
        message: format!("Response payload size exceeded maximum allowed payload size ({bytes} bytes)."),
    }
}
