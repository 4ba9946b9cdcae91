//! A call on its way through the engine, and what is told about it at its end.

use crate::answer::{Answer, Done, Refused};
use crate::failure::{Failure, Stage};
use crate::fleet::Source;
use crate::lineage::Line;
use crate::logs::Log;
use crate::pool::RequestId;
use crate::start::{InstanceTag, Origin};
use bytes::Bytes;
use model::{Call, InvocationRecord, Outcome, Phases, Rung, Usage, Version};
use std::sync::Arc;
use tokio::sync::oneshot;
use world::{Moment, Stamp};

/// A call that has been let in.
pub(crate) struct Job {
    pub(crate) request: RequestId,
    pub(crate) call: Call,
    pub(crate) arrived: Moment,
    pub(crate) started: Stamp,
    /// Instances that ended before they took it.
    pub(crate) tries: u8,
    pub(crate) reply: Reply,
    /// What led to it; held for as long as it is served.
    pub(crate) line: Arc<Line>,
}

/// Who waits for a call's end, and for what of it.
pub(crate) enum Reply {
    /// For the answer alone: it comes before the call's last lines and its record are written.
    Answer(oneshot::Sender<Result<Answer, Refused>>),
    /// For all that is told about it.
    Done(oneshot::Sender<Result<Done, Refused>>),
}

impl Reply {
    /// The call did not run. One who left is not missed.
    pub(crate) fn refuse(self, refused: Refused) {
        match self {
            Self::Answer(waiting) => drop(waiting.send(Err(refused))),
            Self::Done(waiting) => drop(waiting.send(Err(refused))),
        }
    }

    /// The call ended and everything about it is told.
    pub(crate) fn done(self, done: Done) {
        match self {
            Self::Answer(waiting) => drop(waiting.send(Ok(done.outcome))),
            Self::Done(waiting) => drop(waiting.send(Ok(done))),
        }
    }

    /// Gives the answer to one who waits for nothing else. Returns the others, who wait on.
    pub(crate) fn answered(self, answer: impl FnOnce() -> Result<Answer, Refused>) -> Option<Self> {
        match self {
            Self::Answer(waiting) => {
                let _ = waiting.send(answer());
                None
            }
            Self::Done(_) => Some(self),
        }
    }
}

/// The function has answered, and there was no memory for what it said.
const NO_ROOM: Refused = Refused::Throttled {
    reason: "ResponseMemoryLimitExceeded",
    limit: "room-bytes",
    lifted_by: "more memory for the platform, or fewer large answers at once; the function did run",
    retry_after_s: 1,
};

/// What a call ended in.
pub(crate) enum Ending {
    /// The handler returned.
    Returned(Bytes),
    /// The handler reported an error of its own.
    Raised(Bytes),
    /// The platform answers.
    Failed(Failure, Stage),
}

/// What is known of a call besides its end.
pub(crate) struct Facts<'a> {
    pub(crate) version: &'a Version,
    pub(crate) tag: &'a InstanceTag,
    pub(crate) source: Source,
    pub(crate) origin: &'a Origin,
    pub(crate) phases: Phases,
    pub(crate) usage: Usage,
    /// The most other calls that its instance served at the same time.
    pub(crate) others: u32,
}

impl Ending {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Returned(_) => Outcome::Success,
            Self::Raised(_) => Outcome::Error,
            Self::Failed(failure, stage) => failure.outcome(*stage),
        }
    }

    fn error_type(&self) -> Option<String> {
        match self {
            Self::Returned(_) => None,
            Self::Raised(json) => crate::failure::error_type(json),
            Self::Failed(failure, _) => Some(failure.error_type()),
        }
    }

    /// What the caller gets.
    pub(crate) fn answer(&self, request_id: &str) -> Result<Answer, Refused> {
        match self {
            Self::Returned(body) => Ok(Answer::Returned(body.clone())),
            Self::Raised(json) => Ok(Answer::Failed(json.clone())),
            Self::Failed(Failure::NoRoom, _) => Err(NO_ROOM),
            Self::Failed(failure, _) => Ok(Answer::Failed(failure.json(request_id))),
        }
    }
}

/// Writes a call's last lines and its record, and tells who waits for them. The START line was written before.
pub(crate) fn conclude(
    call: &Call,
    started: Stamp,
    ending: &Ending,
    facts: &Facts<'_>,
    log: &mut Log,
    waiting: Option<Reply>,
) {
    let id = &call.request_id;
    match ending {
        Ending::Failed(Failure::TimedOut(seconds), _) => {
            log.platform(&meter::timeout_line(&crate::date::rfc3339(log.now()), id, *seconds));
        }
        Ending::Failed(failure, _) => {
            if let Some(line) = failure.line(id) {
                log.platform(&line);
            }
        }
        Ending::Returned(_) | Ending::Raised(_) => {}
    }
    let mut record = record(call, started, ending, facts);
    let answer = ending.answer(id);
    if let Ok(Answer::Returned(bytes) | Answer::Failed(bytes)) = &answer {
        record.response_bytes = bytes.len() as u64;
    }
    log.platform(&meter::end_line(id));
    log.platform(&meter::report_line(&record));
    let tail = log.end_of(id);
    if let Some(waiting) = waiting {
        log.journal_record(record.clone());
        match answer {
            Ok(outcome) => waiting.done(Done { outcome, record, tail }),
            Err(refused) => waiting.refuse(refused),
        }
    } else {
        log.journal_record(record);
    }
}

fn record(call: &Call, started: Stamp, ending: &Ending, facts: &Facts<'_>) -> InvocationRecord {
    let Facts { version, tag, source, origin, phases, usage, others } = facts;
    let (rung, reason) = match source {
        Source::Idle => (Rung::Idle, "idle instance".into()),
        Source::Spare => (Rung::Idle, "spare instance".into()),
        Source::Provisioned => (Rung::Idle, "provisioned instance".into()),
        Source::Freed => (Rung::Idle, "freed instance".into()),
        Source::Shared => (Rung::Idle, "shared instance".into()),
        Source::New(why) if origin.note.is_empty() => (origin.rung, (*why).into()),
        Source::New(why) => (origin.rung, format!("{why}; {}", origin.note)),
    };
    let billed_ms = meter::bill(phases.handler_us, phases.init_us);
    InvocationRecord {
        request_id: call.request_id.clone(),
        started_us: started.0,
        function: version.function.to_string(),
        version: version.version.clone(),
        instance: tag.instance_id.clone(),
        caller: call.caller.clone(),
        outcome: ending.outcome(),
        error_type: ending.error_type(),
        rung,
        reason: match others {
            0 => reason,
            others => format!("{reason}, its processor time divided among up to {} calls", others + 1),
        },
        phases: *phases,
        usage: *usage,
        memory_mb: version.memory_mb,
        billed_ms,
        cost_nanodollars: meter::cost(version.memory_mb, billed_ms),
        request_bytes: call.payload.len() as u64,
        response_bytes: 0,
        log_group: version.log_group.clone(),
        log_stream: tag.log_stream.clone(),
        imports: if matches!(source, Source::New(_)) { origin.imports.clone() } else { Vec::new() },
        isolation_level: origin.level,
    }
}
