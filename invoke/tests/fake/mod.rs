//! Instances without processes: they do what the payload says, in simulated time.

use crate::book::Book;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use invoke::{Bounds, Cell, Engine, InstanceTag, Origin, Output, Parts, Start, StartError, Started, Voice};
use model::{Call, Usage, Version};
use runtimes::{ChannelError, Event, SendError};
use sandbox::Exit;
use std::collections::{BTreeMap, VecDeque};
use std::io::PipeWriter;
use std::io::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use world::{Moment, World};

pub const BOUNDS: Bounds = Bounds {
    memory_mb: 1024,
    account_concurrency: 1000,
    queue_length: 1000,
    queue_wait: Duration::from_secs(30),
    idle_timeout: Duration::from_secs(300),
    starts_at_once: 4,
    starts_in_all: 8,
    instance_age: Duration::from_secs(7200),
    patience: Duration::from_secs(1),
};

/// What the next instances do when they come up.
#[derive(Debug, Clone)]
pub enum Birth {
    Well {
        sandbox_ms: u64,
        init_ms: u64,
    },
    InitError(&'static str),
    ExitInInit(Exit),
    /// Comes up, and is gone when a call is handed to it.
    Deaf,
    NoSandbox,
    NoRuntime,
}

/// Makes fake instances and counts them.
pub struct Nursery {
    pub world: World,
    pub births: Mutex<VecDeque<Birth>>,
    pub made: AtomicUsize,
    pub alive: Arc<AtomicUsize>,
    pub most_alive: AtomicUsize,
    /// Microseconds of processor time that all instances have used.
    pub used: Arc<AtomicU64>,
    /// What of it they use between two looks at them.
    pub uses: Arc<AtomicU64>,
    /// Whenever one was frozen or thawed.
    pub freezes: Arc<Mutex<Vec<bool>>>,
}

/// An engine over fake instances.
pub struct Stage {
    pub world: World,
    pub engine: Arc<Engine>,
    pub nursery: Arc<Nursery>,
    pub book: Arc<Book>,
}

impl Stage {
    pub fn new(seed: u64, bounds: Bounds) -> Self {
        let world = World::simulated(seed);
        let nursery = Arc::new(Nursery {
            world: world.clone(),
            births: Mutex::default(),
            made: AtomicUsize::new(0),
            alive: Arc::default(),
            most_alive: AtomicUsize::new(0),
            used: Arc::default(),
            uses: Arc::new(AtomicU64::new(101)),
            freezes: Arc::default(),
        });
        let book = Arc::new(Book::default());
        let (start, journal) = (nursery.clone(), book.clone());
        let engine = Engine::new(Parts { start, journal, world: world.clone(), bounds });
        Self { world, engine, nursery, book }
    }

    pub fn next_birth(&self, birth: Birth) {
        self.nursery.births.lock().unwrap().push_back(birth);
    }

    /// Lets `work` come to its end while time passes a millisecond at a time.
    pub async fn play<T>(&self, work: impl Future<Output = T>) -> T {
        self.play_by(Duration::from_millis(1), work).await
    }

    pub async fn play_by<T>(&self, step: Duration, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        for _ in 0..2_000_000 {
            for _ in 0..3 {
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    () = tokio::task::yield_now() => {}
                }
            }
            self.world.advance(step);
        }
        panic!("it does not end");
    }

    pub async fn pass(&self, duration: Duration) {
        self.play(self.world.sleep(duration)).await;
    }

    /// Ends everything and checks that nothing is left.
    pub async fn end(self) {
        self.play(self.engine.drain(Duration::from_secs(1))).await;
        assert_eq!(self.nursery.alive.load(Ordering::SeqCst), 0, "instances are left");
        assert!(self.engine.instances().is_empty());
    }
}

pub fn version(function: &str, revision: &str) -> Version {
    Version {
        function: model::FunctionName::parse(function).unwrap(),
        version: model::LATEST.into(),
        revision: revision.into(),
        arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{function}:$LATEST"),
        runtime: model::Runtime::parse("python3.12").unwrap(),
        handler: "app.handler".into(),
        code_dir: "/nowhere".into(),
        memory_mb: 128,
        tmp_mb: 512,
        timeout_s: 3,
        environment: BTreeMap::new(),
        role: String::new(),
        log_group: format!("/aws/lambda/{function}"),
        concurrency: None,
        instance_concurrency: 1,
        weight: 1,
        snapstart: false,
    }
}

/// A call whose payload is a script: steps split by spaces. See [`Fake::act`].
pub fn call(id: impl Into<String>, script: &str) -> Call {
    Call { request_id: id.into(), payload: script.to_owned().into(), caller: "*".into(), ..Call::default() }
}

impl Start for Nursery {
    fn start<'a>(
        &'a self,
        _: &'a Arc<Version>,
        _: &'a InstanceTag,
    ) -> BoxFuture<'a, Result<Started, StartError>> {
        Box::pin(async move {
            let birth = self.births.lock().unwrap().pop_front();
            let birth = birth.unwrap_or(Birth::Well { sandbox_ms: 1, init_ms: 2 });
            match birth {
                Birth::NoSandbox => return Err(StartError::Sandbox("no room".into())),
                Birth::NoRuntime => return Err(StartError::MissingRuntime("python3.12 is missing".into())),
                Birth::Well { sandbox_ms, .. } => self.world.sleep(Duration::from_millis(sandbox_ms)).await,
                _ => {}
            }
            self.made.fetch_add(1, Ordering::SeqCst);
            let alive = self.alive.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_alive.fetch_max(alive, Ordering::SeqCst);
            let (exit, exited) = watch::channel(None);
            let exit = Arc::new(exit);
            let ((out, to_out), (err, to_err)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
            let mut fake = Fake {
                world: self.world.clone(),
                lanes: Vec::new(),
                deaf: false,
                exit: exit.clone(),
                stdout: to_out,
                stderr: to_err,
            };
            fake.be_born(&birth);
            let (used, uses, freezes) = (self.used.clone(), self.uses.clone(), self.freezes.clone());
            let alive = self.alive.clone();
            let cell = Arc::new(FakeCell { exit, exited, alive, used, uses, freezes });
            let output = Output::new(out.into(), err.into()).unwrap();
            Ok(Started { origin: Origin::default(), voice: Box::new(fake), output, cell })
        })
    }
}

struct FakeCell {
    exit: Arc<watch::Sender<Option<Exit>>>,
    exited: watch::Receiver<Option<Exit>>,
    alive: Arc<AtomicUsize>,
    used: Arc<AtomicU64>,
    uses: Arc<AtomicU64>,
    freezes: Arc<Mutex<Vec<bool>>>,
}

impl Drop for FakeCell {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Cell for FakeCell {
    /// Whoever looks finds that it has used more.
    fn usage(&self) -> Usage {
        let uses = self.uses.load(Ordering::SeqCst);
        let user_us = self.used.fetch_add(uses, Ordering::SeqCst) + uses;
        Usage { user_us, system_us: 500, peak_bytes: 1 << 20 }
    }

    fn freeze(&self, still: bool) {
        self.freezes.lock().unwrap().push(still);
    }

    fn oom_killed(&self) -> bool {
        *self.exited.borrow() == Some(Exit::Signal(9))
    }

    fn exited(&self) -> BoxFuture<'_, Exit> {
        let mut exited = self.exited.clone();
        Box::pin(async move {
            let exit = exited.wait_for(Option::is_some).await.map(|exit| exit.expect("it is some"));
            match exit {
                Ok(exit) => exit,
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn kill(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.exit.send_replace(Some(Exit::Signal(9)));
        })
    }
}

/// A fake runtime: for each call, what it still does.
struct Fake {
    world: World,
    lanes: Vec<Lane>,
    deaf: bool,
    exit: Arc<watch::Sender<Option<Exit>>>,
    stdout: PipeWriter,
    stderr: PipeWriter,
}

/// The steps of one call, or of the init.
struct Lane {
    id: String,
    steps: VecDeque<String>,
    wake: Moment,
}

impl Fake {
    fn be_born(&mut self, birth: &Birth) {
        match birth {
            Birth::Well { init_ms, .. } => self.script("", &format!("sleep:{init_ms} ready")),
            Birth::InitError(kind) => self.script("", &format!("print:loading initerror:{kind}")),
            Birth::ExitInInit(Exit::Code(code)) => self.script("", &format!("exit:{code}")),
            Birth::ExitInInit(Exit::Signal(signal)) => self.script("", &format!("signal:{signal}")),
            Birth::Deaf => {
                self.deaf = true;
                self.script("", "ready");
            }
            Birth::NoSandbox | Birth::NoRuntime => {}
        }
    }

    fn script(&mut self, id: &str, script: &str) {
        let steps = script.split_whitespace().map(Into::into).collect();
        self.lanes.push(Lane { id: id.into(), steps, wake: self.world.moment() });
    }

    /// Does the next step that can be done now; `Err`: for how long there is none, if not for ever.
    fn step(&mut self) -> Result<Option<Event>, Option<Duration>> {
        let now = self.world.moment();
        self.lanes.retain(|lane| !lane.steps.is_empty());
        let ready = |lane: &&mut Lane| lane.wake <= now && lane.steps[0] != "hang";
        let Some(lane) = self.lanes.iter_mut().find(ready) else {
            let wakes = self.lanes.iter().filter(|lane| lane.steps[0] != "hang").map(|lane| lane.wake);
            return Err(wakes.min().map(|wake| wake - now));
        };
        let (id, step) = (lane.id.clone(), lane.steps.pop_front().expect("it is not empty"));
        if let Some(ms) = step.strip_prefix("sleep:") {
            lane.wake = now + Duration::from_millis(ms.parse().unwrap());
            return Ok(None);
        }
        Ok(self.act(id, &step))
    }

    /// Does one step. `sleep:MS`, `print:TEXT`, `warn:TEXT`, `log:TEXT`, `answer:TEXT`, `answer-as:ID`, `raise:TYPE`,
    /// `exit:CODE`, `signal:N`, `garbage`, `hang`, `big`, `ready`, `initerror:TYPE`.
    fn act(&mut self, id: String, step: &str) -> Option<Event> {
        let (verb, what) = step.split_once(':').unwrap_or((step, ""));
        let error = |kind: &str| Bytes::from(format!(r#"{{"errorMessage":"m","errorType":"{kind}"}}"#));
        match verb {
            "print" => writeln!(self.stdout, "{what}").map(|()| None).unwrap(),
            "warn" => writeln!(self.stderr, "{what}").map(|()| None).unwrap(),
            "log" => {
                Some(Event::Log { stamp_us: self.world.now().0, message: format!("{id} {what}").into() })
            }
            "answer" => Some(Event::Response { id, body: Bytes::copy_from_slice(what.as_bytes()) }),
            "answer-as" => Some(Event::Response { id: what.into(), body: Bytes::from_static(b"stolen") }),
            "big" => Some(Event::Response { id, body: Bytes::from(vec![b'x'; 7 << 20]) }),
            "raise" => Some(Event::Error { id, json: error(what) }),
            "garbage" => Some(Event::Violation("half a frame".into())),
            "ready" => Some(Event::Ready),
            "initerror" => Some(Event::InitError(error(what))),
            "exit" => {
                self.exit.send_replace(Some(Exit::Code(what.parse().unwrap())));
                Some(Event::Closed)
            }
            "signal" => {
                self.exit.send_replace(Some(Exit::Signal(what.parse().unwrap())));
                Some(Event::Closed)
            }
            other => panic!("{other}"),
        }
    }
}

impl Voice for Fake {
    fn send<'a>(&'a mut self, calls: &'a [(&'a Call, u64)]) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            if self.deaf {
                self.exit.send_replace(Some(Exit::Code(5)));
            }
            if self.exit.borrow().is_some() {
                return Err(ChannelError::Closed.into());
            }
            for (call, _) in calls {
                self.script(&call.request_id, std::str::from_utf8(&call.payload).unwrap());
            }
            Ok(())
        })
    }

    fn is_idle(&self) -> bool {
        true
    }

    fn has_taken(&self) -> bool {
        true
    }

    fn next(&mut self) -> BoxFuture<'_, Event> {
        Box::pin(async move {
            loop {
                if !self.lanes.is_empty() && self.exit.borrow().is_some() {
                    return Event::Closed;
                }
                match self.step() {
                    Ok(Some(event)) => return event,
                    Ok(None) => {}
                    Err(pause) => {
                        let mut exited = self.exit.subscribe();
                        tokio::select! {
                            biased;
                            _ = exited.wait_for(Option::is_some) => return Event::Closed,
                            () = self.world.sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                        }
                    }
                }
            }
        })
    }
}
