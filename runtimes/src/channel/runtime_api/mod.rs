//! The HTTP Runtime API, served to one instance on a listener inside its network namespace.
//! Custom runtimes and AWS's own clients speak it.

mod body;
mod conversation;
mod desk;
mod reply;

use super::{ChannelError, Event, answer_too_large};
use body::Posted;
use bytes::Bytes;
use conversation::{Asked, Refusal, State};
use desk::Talk;
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::{Call, FunctionError};
use reply::Reply;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use world::World;

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const VERSION: &str = "/2018-06-01";
const MAX_CONNECTIONS: usize = 16;
const MAX_EVENTS: usize = 4;
/// AWS's Python client sends the stack of an error in a header of up to 1 MiB.
const MAX_HEAD_BYTES: usize = 1024 * 1024 + 64 * 1024;

/// The platform's end of one instance's Runtime API. Dropping it closes every connection.
#[derive(Debug)]
pub struct RuntimeApi {
    shared: Arc<Shared>,
    events: mpsc::Receiver<Event>,
    server: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    conversation: Mutex<Talk>,
    most: usize,
    offered: Notify,
    events: mpsc::Sender<Event>,
    /// Without one there is room for every answer.
    world: OnceLock<World>,
}

impl RuntimeApi {
    pub(super) fn new(listener: std::net::TcpListener, most: usize) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (sender, events) = mpsc::channel(MAX_EVENTS + most);
        let shared = Arc::new(Shared {
            conversation: Mutex::new(Talk::new(most)),
            most,
            offered: Notify::new(),
            events: sender,
            world: OnceLock::new(),
        });
        let server = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, events, server })
    }

    pub(super) fn within(&mut self, world: World) {
        self.shared.world.get_or_init(|| world);
    }

    pub(super) fn send(&mut self, call: &Call, deadline_ms: u64) -> Result<(), ChannelError> {
        let mut conversation = self.shared.conversation();
        if conversation.has_failed() {
            return Err(ChannelError::Closed);
        }
        if !conversation.offer(reply::deliverable(call, deadline_ms)) {
            return Err(ChannelError::Busy);
        }
        drop(conversation);
        if self.shared.most > 1 {
            self.shared.offered.notify_one();
        } else {
            self.shared.offered.notify_waiters();
        }
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Event {
        self.events.recv().await.unwrap_or(Event::Closed)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.shared.conversation().is_idle()
    }

    pub(super) fn has_taken(&self) -> bool {
        self.shared.conversation().has_taken()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Owns every connection: when it is aborted, they end.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS + 2 * shared.most));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    tokio::task::yield_now().await; // descriptors may be short for a moment
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let serve = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(shared.serve(request).await) }
            });
            // What fails here is the instance's own connection; the instance sees it.
            let _ = http1::Builder::new()
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), serve)
                .await;
            drop(permit);
        });
    }
}

impl Shared {
    fn conversation(&self) -> MutexGuard<'_, Talk> {
        self.conversation.lock().expect("no holder of this lock can panic")
    }

    async fn serve(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        let path = path.strip_prefix(VERSION).unwrap_or(&path);
        let call = path.strip_prefix("/runtime/invocation/").and_then(|rest| rest.rsplit_once('/'));
        match (request.method(), path, call) {
            (&Method::GET, "/runtime/invocation/next", _) => self.next().await,
            (&Method::POST, "/runtime/init/error", _) => self.init_error(request).await,
            (&Method::GET, "/ping", _) => reply::pong(),
            (&Method::POST, _, Some((id, "response"))) => self.response(id, request).await,
            (&Method::POST, _, Some((id, "error"))) => self.error(id, request).await,
            (_, "/runtime/invocation/next" | "/runtime/init/error" | "/ping", _)
            | (_, _, Some((_, "response" | "error"))) => reply::method_not_allowed(),
            _ => reply::not_found(),
        }
    }

    async fn next(&self) -> Reply {
        match self.conversation().ask() {
            Ok(Asked::Again(delivery)) => return reply::delivery(&delivery),
            Ok(Asked::Wait { became_ready: true }) => self.tell(Event::Ready),
            Ok(Asked::Wait { became_ready: false }) => {}
            Err(refusal) => return reply::refused(refusal),
        }
        loop {
            let offered = self.offered.notified();
            tokio::pin!(offered);
            offered.as_mut().enable();
            if let Some(delivery) = self.conversation().take() {
                return reply::delivery(&delivery);
            }
            offered.await;
        }
    }

    async fn response(&self, id: &str, request: Request<Incoming>) -> Reply {
        let answering = match Answering::begin(self, id, State::InvocationResponse) {
            Ok(answering) => answering,
            Err(refusal) => return reply::refused(refusal),
        };
        let mode = request.headers().get("lambda-runtime-function-response-mode");
        if mode.is_some_and(|mode| !mode.as_bytes().eq_ignore_ascii_case(b"streaming")) {
            answering.end(failure("Runtime.InvalidResponseModeHeader"));
            return reply::invalid_response_mode();
        }
        let (outcome, reply) = match body::read(request.into_body(), self.world.get()).await {
            Posted::Whole(body) => (Ok(body), reply::accepted()),
            Posted::Failed(json) => (Err(json), reply::accepted()),
            Posted::Dropped => return answering.drop_it(),
            Posted::TooLarge => (Err(too_large()), reply::too_large()),
            Posted::Truncated => (failure("Runtime.TruncatedResponse"), reply::truncated()),
        };
        answering.end(outcome);
        reply
    }

    async fn error(&self, id: &str, request: Request<Incoming>) -> Reply {
        let answering = match Answering::begin(self, id, State::InvocationErrorResponse) {
            Ok(answering) => answering,
            Err(refusal) => return reply::refused(refusal),
        };
        let kind = error_type(request.headers().get(ERROR_TYPE), "Function");
        let Some((json, reply)) = read_error(&kind, request.into_body(), self.world.get()).await else {
            return answering.drop_it();
        };
        answering.end(Err(json));
        reply
    }

    async fn init_error(&self, request: Request<Incoming>) -> Reply {
        if let Err(refusal) = self.conversation().init_error() {
            return reply::refused(refusal);
        }
        let kind = error_type(request.headers().get(ERROR_TYPE), "Runtime");
        let nothing = || (error_json(&kind, ""), reply::accepted());
        let (json, reply) =
            read_error(&kind, request.into_body(), self.world.get()).await.unwrap_or_else(nothing);
        self.tell(Event::InitError(json));
        reply
    }

    /// The states allow no more events than there is room for, unless the platform sends without listening.
    fn tell(&self, event: Event) {
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            tracing::warn!(?event, "nobody listens to this instance");
        }
    }
}

/// An answer that has begun. If its connection is dropped before its end, the call still gets an answer.
struct Answering<'a> {
    shared: &'a Shared,
    id: &'a str,
    /// `None`: there was no room for it.
    outcome: Option<Result<Bytes, Bytes>>,
}

impl<'a> Answering<'a> {
    fn begin(shared: &'a Shared, id: &'a str, target: State) -> Result<Self, Refusal> {
        shared.conversation().begin_answer(id, target)?;
        Ok(Self { shared, id, outcome: Some(failure("Runtime.TruncatedResponse")) })
    }

    fn end(mut self, outcome: Result<Bytes, Bytes>) {
        self.outcome = Some(outcome);
    }

    fn drop_it(mut self) -> Reply {
        self.outcome = None;
        reply::accepted()
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.shared.conversation().end_answer(self.id);
        let id = self.id.to_owned();
        self.shared.tell(match self.outcome.take() {
            Some(Ok(body)) => Event::Response { id, body },
            Some(Err(json)) => Event::Error { id, json },
            None => Event::Dropped { id },
        });
    }
}

/// `None`: there was no room for it.
async fn read_error(kind: &str, body: Incoming, world: Option<&World>) -> Option<(Bytes, Reply)> {
    Some(match body::read(body, world).await {
        Posted::Dropped => return None,
        Posted::Whole(json) | Posted::Failed(json) if !json.is_empty() => (json, reply::accepted()),
        Posted::Whole(_) | Posted::Failed(_) => (error_json(kind, ""), reply::accepted()),
        Posted::TooLarge => (too_large(), reply::too_large()),
        Posted::Truncated => (error_json("Runtime.TruncatedResponse", ""), reply::truncated()),
    })
}

/// The type in the header, or `<family>.Unknown` unless it looks like `Runtime.Something` or `Function.Something`.
fn error_type(header: Option<&HeaderValue>, family: &str) -> String {
    let given = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = given.split_once('.').is_some_and(|(head, tail)| {
        matches!(head, "Runtime" | "Function")
            && tail.len() > 1
            && tail.starts_with(|c: char| c.is_ascii_uppercase())
            && tail.bytes().all(|b| b.is_ascii_alphabetic())
    });
    if known { given.to_owned() } else { format!("{family}.Unknown") }
}

fn error_json(kind: &str, message: &str) -> Bytes {
    let error = FunctionError { kind: kind.into(), message: message.into() };
    serde_json::to_vec(&error).expect("two strings are always JSON").into()
}

fn failure(kind: &str) -> Result<Bytes, Bytes> {
    Err(error_json(kind, ""))
}

fn too_large() -> Bytes {
    let error = answer_too_large();
    error_json(&error.kind, &error.message)
}
