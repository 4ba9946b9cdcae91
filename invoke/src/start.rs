//! What the engine needs of the ground below: something that makes instances, and the parts of one.
//!
//! The engine knows sandboxes and channels only through these, so its rules are tested without a process.

use crate::output::Output;
use futures_util::future::BoxFuture;
use model::{Call, Import, InvocationRecord, Rung, Usage, Version, VersionName};
use runtimes::{Channel, ChannelError, Event, SendError};
use sandbox::Exit;
use std::sync::Arc;

/// Makes instances.
pub trait Start: Send + Sync + 'static {
    /// Makes one and returns once its program runs; that its code is loaded, its voice says.
    fn start<'a>(
        &'a self,
        version: &'a Arc<Version>,
        tag: &'a InstanceTag,
    ) -> BoxFuture<'a, Result<Started, StartError>>;

    /// A function version is about to be used: what its starts can share may be made ahead.
    fn prepare(&self, _version: &Arc<Version>) {}

    /// Waits until the first start finds what is made for it alone, where that is a matter of a moment.
    fn prepared<'a>(&'a self, _version: &'a Arc<Version>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// So many instances of a version are kept from now on: what replaces them may be kept too.
    fn promise(&self, _version: &Arc<Version>, _instances: u32) {}

    /// The next start of a function takes this rung, or a lower one where it cannot. Returns when it can.
    fn want<'a>(&'a self, _version: &'a Arc<Version>, _rung: Rung) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Nothing is started any more.
    fn close(&self) {}

    /// What there is of the process that a version's instances shall be copies of.
    fn snapshot(&self, _version: &Version) -> Snapshot {
        Snapshot::Missing(String::new())
    }

    /// A version is gone.
    fn forget(&self, _version: &VersionName) {}
}

/// What there is of the process that has loaded a version's code and is copied for its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapshot {
    /// It is being made.
    Making,
    /// It can be copied.
    Ready,
    /// There is none, for this reason.
    Missing(String),
}

/// Names one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceTag {
    /// A UUID.
    pub instance_id: String,
    /// The qualified ARN of its function version.
    pub arn: String,
    /// Where its lines go, such as `2026/01/31/[$LATEST]0123…`.
    pub log_stream: String,
    /// Whether it is one of those that are kept because they were promised.
    pub provisioned: bool,
}

/// From which rung of the ladder of warmth an instance comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The rung.
    pub rung: Rung,
    /// What there is to say about it: what it was made from, or why from nothing better.
    pub note: String,
    /// What took it long to import; known once it is ready.
    pub imports: Vec<Import>,
    /// The level of isolation of its sandbox, once it has one.
    pub level: Option<u8>,
}

impl Default for Origin {
    fn default() -> Self {
        Self { rung: Rung::Spawn, note: String::new(), imports: Vec::new(), level: None }
    }
}

/// A running instance.
pub struct Started {
    /// Where it comes from.
    pub origin: Origin,
    /// Speaks with the runtime inside.
    pub voice: Box<dyn Voice>,
    /// What the processes inside print.
    pub output: Output,
    /// The processes themselves.
    pub cell: Arc<dyn Cell>,
}

/// The conversation with the runtime of one instance.
pub trait Voice: Send {
    /// Hands over calls, in this order, each with its deadline in milliseconds since 1970 UTC. Cancelling it spoils the
    /// instance. The error says how many of them it may have taken.
    fn send<'a>(&'a mut self, calls: &'a [(&'a Call, u64)]) -> BoxFuture<'a, Result<(), SendError>>;
    /// Asks for the end of one of several calls, which it then answers with an error. Only where each call has a process
    /// of its own. Cancelling it spoils the instance.
    fn cancel<'a>(&'a mut self, _id: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(std::future::ready(Err(ChannelError::Closed)))
    }
    /// What it says next. Cancel-safe.
    fn next(&mut self) -> BoxFuture<'_, Event>;
    /// What it has said by now and nobody has heard yet, as far as that is known without asking.
    fn said(&mut self) -> Option<Event> {
        None
    }
    /// What it said of its imports when it became ready. Asked once.
    fn imports(&mut self) -> Vec<Import> {
        Vec::new()
    }
    /// Whether it waits for a call, or will after its last answer.
    fn is_idle(&self) -> bool;
    /// Whether it may have begun the call that was sent last.
    fn has_taken(&self) -> bool;
}

/// The processes of one instance. Dropping the last holder kills them.
pub trait Cell: Send + Sync {
    /// What they have used until now.
    fn usage(&self) -> Usage;
    /// Whether the memory limit ended one of them.
    fn oom_killed(&self) -> bool;
    /// What of its limits somebody had changed, where it was ended for that.
    fn drift(&self) -> Option<&str> {
        None
    }
    /// Waits for the end of the first process.
    fn exited(&self) -> BoxFuture<'_, Exit>;
    /// Lets none of them use the processor, or lets them again.
    fn freeze(&self, _still: bool) {}
    /// Kills all and waits until nothing is left of them.
    fn kill(&self) -> BoxFuture<'_, ()>;
}

/// Why an instance could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// The machine has no interpreter for it.
    MissingRuntime(String),
    /// The package has no program that can be executed; the function's fault.
    Entrypoint(String),
    /// The package's program is one of another kind of machine; the function's fault.
    BadArch(String),
    /// No sandbox could be made; the platform's fault.
    Sandbox(String),
}

/// Where log lines and records go. Never waits.
pub trait Journal: Send + Sync + 'static {
    /// Takes one log event of a stream. `stamp_us`: microseconds since 1970 UTC.
    fn line(&self, group: &str, stream: &str, stamp_us: u64, message: &[u8]);
    /// Takes the record of one invocation.
    fn record(&self, record: InvocationRecord);
    /// Counts a call of a function that was refused because it reached a limit.
    fn throttled(&self, function: &str, limit: &'static str);
}

impl Voice for Channel {
    fn send<'a>(&'a mut self, calls: &'a [(&'a Call, u64)]) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(Self::send_all(self, calls))
    }

    fn cancel<'a>(&'a mut self, id: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(Self::cancel(self, id))
    }

    fn next(&mut self) -> BoxFuture<'_, Event> {
        Box::pin(Self::next(self))
    }

    fn said(&mut self) -> Option<Event> {
        Self::said(self)
    }

    fn imports(&mut self) -> Vec<Import> {
        Self::imports(self)
    }

    fn is_idle(&self) -> bool {
        Self::is_idle(self)
    }

    fn has_taken(&self) -> bool {
        Self::has_taken(self)
    }
}

impl Journal for observe::Observe {
    fn line(&self, group: &str, stream: &str, stamp_us: u64, message: &[u8]) {
        Self::line(self, group, stream, stamp_us, message);
    }

    fn record(&self, record: InvocationRecord) {
        Self::record(self, record);
    }

    fn throttled(&self, function: &str, limit: &'static str) {
        Self::throttled(self, function, limit);
    }
}
