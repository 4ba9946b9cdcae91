//! The conversation with one instance.

use bytes::Bytes;
use model::Call;

/// Something that an instance said, or that its silence means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It has loaded the code and waits for work.
    Ready,
    /// The code could not be loaded; JSON in AWS's error shape.
    InitError(Bytes),
    /// The handler returned.
    Response {
        /// The call's request id.
        id: String,
        /// The answer, as bytes of the client.
        body: Bytes,
    },
    /// The handler failed; JSON in AWS's error shape.
    Error {
        /// The call's request id.
        id: String,
        /// `errorType`, `errorMessage` and the client's own fields.
        json: Bytes,
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
    /// It hung up; the process has ended or will.
    Closed,
}

/// Why a call could not be handed over. The instance must be retired.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The instance has hung up.
    #[error("the instance has closed its channel")]
    Closed,
    /// It has not answered the call before this one, or an earlier hand-over was cut short.
    #[error("the instance is busy")]
    Busy,
    /// The operating system refused.
    #[error("the channel failed: {0}")]
    Io(#[from] std::io::Error),
}

/// One instance's channel.
#[derive(Debug)]
pub enum Channel {
    /// Frames on a socket pair.
    Framed(std::os::unix::net::UnixStream),
    /// The HTTP Runtime API.
    RuntimeApi(std::net::TcpListener),
}

impl Channel {
    /// Frames over the server's end of the control socket. Needs a tokio runtime.
    pub fn framed(control: std::os::unix::net::UnixStream) -> std::io::Result<Self> {
        Ok(Self::Framed(control))
    }

    /// Serves the HTTP Runtime API on a listener inside the sandbox. Needs a tokio runtime.
    pub fn runtime_api(listener: std::net::TcpListener) -> std::io::Result<Self> {
        Ok(Self::RuntimeApi(listener))
    }

    /// Hands over a call. `deadline_ms`: milliseconds since 1970 UTC. A cancelled `send` leaves the channel unusable.
    pub async fn send(&mut self, _call: &Call, _deadline_ms: u64) -> Result<(), ChannelError> {
        Err(ChannelError::Closed)
    }

    /// The next event. Cancel-safe: a dropped `next` loses nothing.
    pub async fn next(&mut self) -> Event {
        Event::Closed
    }
}
