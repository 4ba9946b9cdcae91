//! Questions and answers. Shapes follow CloudWatch Logs; times are microseconds since 1970 UTC throughout.

/// A log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Such as `/aws/lambda/hello`.
    pub name: String,
    /// When its first event came in.
    pub created_us: u64,
    /// What it takes on disk.
    pub stored_bytes: u64,
}

/// A log stream: what one instance wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// When its first event came in.
    pub created_us: u64,
    /// Its oldest event that is still kept.
    pub first_event_us: u64,
    /// Its newest event.
    pub last_event_us: u64,
    /// Bytes of its messages.
    pub stored_bytes: u64,
}

/// How streams are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOrder {
    /// By name, `a` first.
    Name,
    /// By name, `z` first.
    NameDescending,
    /// By newest event, the oldest of them first.
    LastEvent,
    /// By newest event, the newest of them first.
    LastEventDescending,
}

/// A log event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Unique in its group.
    pub id: String,
    /// Its group.
    pub group: String,
    /// Its stream.
    pub stream: String,
    /// When it was written.
    pub stamp_us: u64,
    /// Its text; bytes that are not UTF-8 appear as U+FFFD.
    pub message: String,
}

/// Which part of a stream to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsQuery {
    /// The group.
    pub group: String,
    /// The stream.
    pub stream: String,
    /// Not older than this.
    pub from_us: u64,
    /// Older than this.
    pub to_us: u64,
    /// Without a token: start at the oldest event rather than end at the newest.
    pub start_from_head: bool,
    /// At most this many events; a page also ends at 1 MiB.
    pub limit: usize,
    /// A token of an earlier page.
    pub token: Option<String>,
}

/// A page of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsPage {
    /// Oldest first.
    pub events: Vec<Event>,
    /// Asks for what comes after this page; the token that was given where nothing came.
    pub forward: String,
    /// Asks for what comes before this page; the token that was given where nothing came.
    pub backward: String,
}

/// What to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterQuery {
    /// The group.
    pub group: String,
    /// Only these streams; all where empty.
    pub streams: Vec<String>,
    /// Only streams whose names start so.
    pub stream_prefix: String,
    /// Not older than this.
    pub from_us: u64,
    /// Older than this.
    pub to_us: u64,
    /// A CloudWatch Logs filter pattern; everything where empty.
    pub pattern: String,
    /// At most this many events; a page also ends at 1 MiB.
    pub limit: usize,
    /// The token of the page before.
    pub token: Option<String>,
}

/// Which invocation records to list: the newest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordsQuery {
    /// Only of this function.
    pub function: Option<String>,
    /// Not older than this.
    pub since_us: u64,
    /// Only calls that an instance was made for.
    pub cold_only: bool,
    /// At most so many.
    pub limit: usize,
}

/// A page of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterPage {
    /// Oldest first.
    pub events: Vec<Event>,
    /// Asks for the rest, where there may be more.
    pub next: Option<String>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing was ever logged there, or it was deleted.
    #[error("The specified log group does not exist.")]
    UnknownGroup,
    /// The group has no such stream.
    #[error("The specified log stream does not exist.")]
    UnknownStream,
    /// The filter pattern cannot be read, or uses what is not served.
    #[error("Invalid filter pattern: {0}")]
    InvalidPattern(String),
    /// The token is not one of ours.
    #[error("The specified nextToken is invalid.")]
    InvalidToken,
    /// The disk failed.
    #[error("the logs cannot be read: {0}")]
    Failed(String),
}

impl QueryError {
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}
