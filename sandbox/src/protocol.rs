//! What the server, the launcher and a sandbox's first process say to each other.
//!
//! Requests go over one control socket. Each carries the sockets on which its answers come, so that no answer has to
//! be matched to a request, and closing those sockets ends whatever the request had started.

use crate::gauge::Meter;
use crate::step::Failure;
use crate::{Bind, Exit, Layers, Protections, UnpackError, UnpackLimits, Unpacked};
use model::Usage;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// Where the launcher process finds its control socket.
pub(crate) const CONTROL: RawFd = 3;

/// The launcher's first message, when it is ready to serve.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protections: Protections,
}

/// Server to launcher. The first descriptor is always the connection on which [`Report`]s come back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Descriptors: connection, [`Boot`] channel, stdout, stderr, and the program's descriptor 3 if `control`.
    Sandbox(SandboxRequest),
    /// A program that forks itself into sandboxes, `ahead` of which are kept empty for it, with what `housing` says in
    /// them. Descriptors: connection, [`Boot`] channel, stdout, stderr.
    Template { request: SandboxRequest, housing: Furniture, ahead: usize },
    /// A sandbox whose program a template forks, by the number of [`Report::Ready`]. Descriptors: connection, stdout,
    /// stderr, and the program's descriptor 3.
    Fork { template: u64, request: SandboxRequest },
    /// Descriptors: connection, stdin, stdout, stderr.
    Command { argv: Vec<String>, env: Vec<(String, String)> },
    /// Make sandboxes of this root image from now on. Answered by [`Report::Rooted`] or [`Report::Failed`].
    Root { image: PathBuf },
    /// Descriptors: connection, archive.
    Unpack { dest: PathBuf, limits: UnpackLimits },
    /// Read back the limits of some sandboxes, those numbered `from` and the next ones. Descriptors: connection.
    ReadBack { from: u64 },
}

/// What the launcher must know of a [`crate::Spec`]. The program, its arguments and its environment are not among
/// it: those go straight to the sandbox, so that the launcher holds nothing of one function that another could find.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SandboxRequest {
    pub(crate) furniture: Furniture,
    pub(crate) listen: Vec<u16>,
    pub(crate) control: bool,
    pub(crate) waits: bool,
    pub(crate) layers: Layers,
}

/// Server to launcher, over a sandbox's connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// End it.
    Kill,
    /// Let nothing in it use the processor, or let it again. Not answered.
    Freeze(bool),
    /// Make a sandbox that waits for its work ready for it, once. Answered by [`Report::Furnished`] or [`Report::Failed`].
    Furnish(Furniture),
}

/// What a sandbox gets when it is known what it is for. `/tmp` keeps its size where `tmp_bytes` is 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Furniture {
    pub(crate) binds: Vec<Bind>,
    pub(crate) tmp_bytes: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_millis: u32,
    pub(crate) cpu_weight: u32,
    pub(crate) pids: u32,
}

/// Launcher to server, over a request's connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The sandbox's first process exists, with this number on the host. Descriptors: one per meter, then the listening sockets.
    Made { meters: Vec<Meter>, pid: i32 },
    /// It could not be made, or not be continued. Nothing is left.
    Failed(Failure),
    /// All of it is gone. The last message.
    Ended { exit: Exit, oom_killed: bool, usage: Usage },
    /// A template can be forked, under this number.
    Ready { template: u64 },
    /// A template cannot be forked, for this reason. It ends.
    Refused { why: String },
    /// The sandbox is as it was ordered.
    Furnished,
    /// Its limits were not as they had been set, and in what; it ends.
    Drifted { why: String },
    /// Limits were read back, and in so many sandboxes they had changed. `next`: from where to go on, if there are more.
    ReadBack { changed: u32, next: Option<u64> },
    /// Sandboxes are made of the root image, and protected like this.
    Rooted(Protections),
    /// How unpacking ended. The last message.
    Unpacked(Result<Unpacked, UnpackError>),
}

/// Launcher to the first process of an empty sandbox, over its line: a program moves in. Descriptors: [`Boot`] channel,
/// stdout, stderr, and the program's descriptor 3 if there is one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Arrival {
    /// Where something was mounted for it.
    pub(crate) guests: Vec<PathBuf>,
    pub(crate) tmp_bytes: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) pids: u32,
}

/// Server to a sandbox's first process, sent before the process listens. The channel's end without a [`Failure`]
/// on it means that the program is executing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Boot {
    /// Become this program.
    Program { argv: Vec<String>, env: Vec<(String, String)>, workdir: String },
    /// Look around, answer with [`crate::probe::View`], and end.
    Probe,
}

/// Encodes a message.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(message).map_err(io::Error::other)
}

/// Decodes a message.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(io::Error::other)
}
