//! What a runtime may say when: the Runtime API's states, apart from HTTP. After AWS's runtime interface emulator.

use std::sync::Arc;

/// One call as the runtime gets it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub id: String,
    pub headers: http::HeaderMap,
    pub event: bytes::Bytes,
}

/// Where the runtime stands. The names are those of AWS's error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Started,
    Ready,
    Running,
    InvocationResponse,
    InvocationErrorResponse,
    ResponseSent,
    InitError,
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It names another call than the current one.
    InvalidRequestId,
    /// It comes at the wrong time.
    InvalidStateTransition(State, State),
}

/// What follows from asking for work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Wait for [`Conversation::take`]; whether this was the first time.
    Wait { became_ready: bool },
    /// Here is the current call once more.
    Again(Arc<Delivery>),
}

/// The conversation with one runtime.
#[derive(Debug)]
pub(super) struct Conversation {
    state: State,
    /// The call that the runtime works on, or has answered last.
    current: Option<Arc<Delivery>>,
    /// The call that it gets next.
    waiting: Option<Arc<Delivery>>,
}

impl Conversation {
    pub(super) fn new() -> Self {
        Self { state: State::Started, current: None, waiting: None }
    }

    /// The runtime asks for work. A runtime that lost its call before it could begin gets the same one again.
    pub(super) fn ask(&mut self) -> Result<Asked, Refusal> {
        match (self.state, &self.current) {
            (State::Started, _) => {
                self.state = State::Ready;
                Ok(Asked::Wait { became_ready: true })
            }
            (State::ResponseSent, _) => {
                self.rest();
                Ok(Asked::Wait { became_ready: false })
            }
            (State::Running, Some(delivery)) => Ok(Asked::Again(Arc::clone(delivery))),
            (State::Ready, _) => Ok(Asked::Wait { became_ready: false }),
            (busy, _) => Err(Refusal::InvalidStateTransition(busy, State::Ready)),
        }
    }

    /// The call for one that has asked and waits. When several wait, one of them gets it.
    pub(super) fn take(&mut self) -> Option<Arc<Delivery>> {
        if self.state == State::ResponseSent {
            self.rest();
        }
        if self.state != State::Ready {
            return None;
        }
        self.current = Some(self.waiting.take()?);
        self.state = State::Running;
        self.current.clone()
    }

    fn rest(&mut self) {
        self.state = State::Ready;
        self.current = None;
    }

    /// The platform has a call.
    pub(super) fn offer(&mut self, delivery: Delivery) -> bool {
        let fits = self.is_idle();
        if fits {
            self.waiting = Some(Arc::new(delivery));
        }
        fits
    }

    /// The runtime begins to answer call `id`, with `target` [`State::InvocationResponse`] or
    /// [`State::InvocationErrorResponse`].
    pub(super) fn begin_answer(&mut self, id: &str, target: State) -> Result<(), Refusal> {
        if self.current.as_ref().is_none_or(|current| current.id != id) {
            return Err(Refusal::InvalidRequestId);
        }
        if self.state != State::Running {
            return Err(Refusal::InvalidStateTransition(self.state, target));
        }
        self.state = target;
        Ok(())
    }

    /// The answer is complete.
    pub(super) fn end_answer(&mut self) {
        self.state = State::ResponseSent;
    }

    /// The runtime could not load the code.
    pub(super) fn init_error(&mut self) -> Result<(), Refusal> {
        if self.state != State::Started {
            return Err(Refusal::InvalidStateTransition(self.state, State::InitError));
        }
        self.state = State::InitError;
        Ok(())
    }

    /// Whether a call can be offered: it is ready, or has answered and will ask again.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Ready | State::ResponseSent) && self.waiting.is_none()
    }

    /// Whether the call that was offered last has been delivered.
    pub(super) fn has_taken(&self) -> bool {
        self.waiting.is_none()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.state == State::InitError
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(id: &str) -> Delivery {
        Delivery { id: id.into(), headers: http::HeaderMap::new(), event: bytes::Bytes::new() }
    }

    fn taken(conversation: &mut Conversation) -> Option<String> {
        conversation.take().map(|delivery| delivery.id.clone())
    }

    const FIRST: Result<Asked, Refusal> = Ok(Asked::Wait { became_ready: true });
    const LATER: Result<Asked, Refusal> = Ok(Asked::Wait { became_ready: false });

    #[test]
    fn one_call_after_another() {
        let mut talk = Conversation::new();
        assert!(!talk.offer(delivery("early")));
        assert_eq!(talk.ask(), FIRST);
        assert_eq!(taken(&mut talk), None);
        for id in ["a", "b"] {
            assert!(talk.offer(delivery(id)) && !talk.offer(delivery("too much")) && !talk.has_taken());
            assert_eq!(taken(&mut talk).as_deref(), Some(id));
            assert_eq!(taken(&mut talk), None, "another connection that waits gets nothing");
            assert!(talk.has_taken() && !talk.is_idle());
            assert_eq!(talk.begin_answer(id, State::InvocationResponse), Ok(()));
            talk.end_answer();
            assert!(talk.is_idle());
            assert_eq!(talk.ask(), LATER);
        }
    }

    #[test]
    fn a_call_offered_before_the_runtime_asks_again_waits_for_it() {
        let mut talk = Conversation::new();
        talk.ask().unwrap();
        talk.offer(delivery("a"));
        taken(&mut talk);
        talk.begin_answer("a", State::InvocationErrorResponse).unwrap();
        talk.end_answer();
        assert!(talk.offer(delivery("b")));
        assert_eq!(talk.begin_answer("b", State::InvocationResponse), Err(Refusal::InvalidRequestId));
        talk.ask().unwrap();
        assert_eq!(taken(&mut talk).as_deref(), Some("b"));
        assert_eq!(talk.begin_answer("a", State::InvocationResponse), Err(Refusal::InvalidRequestId));
    }

    #[test]
    fn wrong_times_are_refused() {
        use State::*;
        let mut talk = Conversation::new();
        assert_eq!(talk.begin_answer("a", InvocationResponse), Err(Refusal::InvalidRequestId));
        talk.ask().unwrap();
        assert_eq!(talk.init_error(), Err(Refusal::InvalidStateTransition(Ready, InitError)));
        talk.offer(delivery("a"));
        taken(&mut talk);
        assert_eq!(talk.ask(), Ok(Asked::Again(Arc::new(delivery("a")))), "a lost delivery is made again");
        talk.begin_answer("a", InvocationResponse).unwrap();
        assert_eq!(talk.ask(), Err(Refusal::InvalidStateTransition(InvocationResponse, Ready)));
        talk.end_answer();
        let twice = talk.begin_answer("a", InvocationErrorResponse);
        assert_eq!(twice, Err(Refusal::InvalidStateTransition(ResponseSent, InvocationErrorResponse)));
    }
}
