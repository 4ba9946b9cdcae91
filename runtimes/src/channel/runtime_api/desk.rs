//! What a runtime may say when, where it serves several calls at once: AWS's multi-concurrency contract. Several
//! `next` may wait at the same time, and answers are matched by id in whatever order they come.

use super::conversation::{Asked, Conversation, Delivery, Refusal, State};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The conversation with a runtime that serves several calls at once.
#[derive(Debug)]
pub(super) struct Desk {
    state: State,
    most: usize,
    /// Offered, and not yet asked for.
    waiting: VecDeque<Arc<Delivery>>,
    /// Delivered; whether the answer has begun, and as what.
    running: HashMap<String, Option<State>>,
}

impl Desk {
    fn new(most: usize) -> Self {
        Self { state: State::Started, most, waiting: VecDeque::new(), running: HashMap::new() }
    }

    fn ask(&mut self) -> Result<Asked, Refusal> {
        match self.state {
            State::InitError => Err(Refusal::InvalidStateTransition(State::InitError, State::Ready)),
            before => {
                self.state = State::Ready;
                Ok(Asked::Wait { became_ready: before == State::Started })
            }
        }
    }

    fn take(&mut self) -> Option<Arc<Delivery>> {
        let delivery = self.waiting.pop_front()?;
        self.running.insert(delivery.id.clone(), None);
        Some(delivery)
    }

    fn offer(&mut self, delivery: Delivery) -> bool {
        let fits = self.is_idle();
        if fits {
            self.waiting.push_back(Arc::new(delivery));
        }
        fits
    }

    fn begin_answer(&mut self, id: &str, target: State) -> Result<(), Refusal> {
        match self.running.get_mut(id) {
            None => Err(Refusal::InvalidRequestId),
            Some(Some(begun)) => Err(Refusal::InvalidStateTransition(*begun, target)),
            Some(begun) => {
                *begun = Some(target);
                Ok(())
            }
        }
    }

    fn init_error(&mut self) -> Result<(), Refusal> {
        if self.state != State::Started {
            return Err(Refusal::InvalidStateTransition(self.state, State::InitError));
        }
        self.state = State::InitError;
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.state == State::Ready && self.waiting.len() + self.running.len() < self.most
    }
}

/// One call at a time, or several.
#[derive(Debug)]
pub(super) enum Talk {
    One(Conversation),
    Many(Desk),
}

impl Talk {
    pub(super) fn new(most: usize) -> Self {
        if most > 1 { Self::Many(Desk::new(most)) } else { Self::One(Conversation::new()) }
    }

    /// The runtime asks for work.
    pub(super) fn ask(&mut self) -> Result<Asked, Refusal> {
        match self {
            Self::One(talk) => talk.ask(),
            Self::Many(desk) => desk.ask(),
        }
    }

    /// A call for one that has asked and waits.
    pub(super) fn take(&mut self) -> Option<Arc<Delivery>> {
        match self {
            Self::One(talk) => talk.take(),
            Self::Many(desk) => desk.take(),
        }
    }

    /// The platform has a call. Whether it fits.
    pub(super) fn offer(&mut self, delivery: Delivery) -> bool {
        match self {
            Self::One(talk) => talk.offer(delivery),
            Self::Many(desk) => desk.offer(delivery),
        }
    }

    /// The runtime begins to answer call `id`.
    pub(super) fn begin_answer(&mut self, id: &str, target: State) -> Result<(), Refusal> {
        match self {
            Self::One(talk) => talk.begin_answer(id, target),
            Self::Many(desk) => desk.begin_answer(id, target),
        }
    }

    /// The answer to call `id` is complete.
    pub(super) fn end_answer(&mut self, id: &str) {
        match self {
            Self::One(talk) => talk.end_answer(),
            Self::Many(desk) => drop(desk.running.remove(id)),
        }
    }

    /// The runtime could not load the code.
    pub(super) fn init_error(&mut self) -> Result<(), Refusal> {
        match self {
            Self::One(talk) => talk.init_error(),
            Self::Many(desk) => desk.init_error(),
        }
    }

    /// Whether a call can be offered.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::One(talk) => talk.is_idle(),
            Self::Many(desk) => desk.is_idle(),
        }
    }

    /// Whether every call that was offered has been delivered.
    pub(super) fn has_taken(&self) -> bool {
        match self {
            Self::One(talk) => talk.has_taken(),
            Self::Many(desk) => desk.waiting.is_empty(),
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        match self {
            Self::One(talk) => talk.has_failed(),
            Self::Many(desk) => desk.state == State::InitError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(id: &str) -> Delivery {
        Delivery { id: id.into(), headers: http::HeaderMap::new(), event: bytes::Bytes::new() }
    }

    #[test]
    fn several_calls_at_once_in_any_order() {
        let mut talk = Talk::new(2);
        assert!(!talk.offer(delivery("early")));
        assert_eq!(talk.ask(), Ok(Asked::Wait { became_ready: true }));
        assert_eq!(talk.ask(), Ok(Asked::Wait { became_ready: false }), "a second poll at the same time");
        assert!(talk.offer(delivery("a")) && talk.offer(delivery("b")) && !talk.offer(delivery("c")));
        assert!(!talk.has_taken());
        let taken: Vec<_> = std::iter::from_fn(|| talk.take()).map(|delivery| delivery.id.clone()).collect();
        assert_eq!(taken, ["a", "b"]);
        assert!(talk.has_taken() && !talk.is_idle());
        assert_eq!(talk.begin_answer("b", State::InvocationResponse), Ok(()));
        let twice = talk.begin_answer("b", State::InvocationErrorResponse);
        let (begun, target) = (State::InvocationResponse, State::InvocationErrorResponse);
        assert_eq!(twice, Err(Refusal::InvalidStateTransition(begun, target)));
        talk.end_answer("b");
        assert!(talk.is_idle() && talk.offer(delivery("c")));
        assert_eq!(talk.begin_answer("b", State::InvocationResponse), Err(Refusal::InvalidRequestId));
        assert_eq!(
            talk.begin_answer("c", State::InvocationResponse),
            Err(Refusal::InvalidRequestId),
            "not asked for"
        );
        assert_eq!(talk.begin_answer("a", State::InvocationErrorResponse), Ok(()));
        let late = Refusal::InvalidStateTransition(State::Ready, State::InitError);
        assert_eq!(talk.init_error(), Err(late));
    }
}
