//! The engine: carries out what the fleet decides, and is the only door for calls.

use crate::admission::Bounds;
use crate::answer::{Answer, Done, InstanceSummary, Refused};
use crate::fleet::{Action, Fleet, Source};
use crate::instance::Owner;
use crate::job::{Job, Reply};
use crate::lineage::Lineage;
use crate::pool::{InstanceId, RequestId, Waiting};
use crate::promise::{Provision, ProvisionState};
use crate::start::{InstanceTag, Journal, Origin, Snapshot, Start};
use model::{Call, Rung, Version, VersionName};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use world::{End, Ender, Moment, World};

/// What the engine is made of.
pub struct Parts {
    /// Makes instances.
    pub start: Arc<dyn Start>,
    /// Takes log lines and records.
    pub journal: Arc<dyn Journal>,
    /// Time and chance.
    pub world: World,
    /// Its limits.
    pub bounds: Bounds,
}

/// Runs calls. Must be made, used and drained inside one tokio runtime.
pub struct Engine {
    parts: Parts,
    state: Mutex<State>,
    ender: Ender,
    end: End,
    gone: Notify,
    /// Wakes who watches the time: something is due sooner than it knows.
    sooner: Arc<Notify>,
    me: Weak<Engine>,
}

struct State {
    fleet: Fleet,
    /// Calls that have no instance yet.
    jobs: HashMap<RequestId, Job>,
    /// The mailboxes of the instances that exist and may serve.
    owners: HashMap<InstanceId, mpsc::Sender<(Job, Source)>>,
    tags: HashMap<InstanceId, InstanceTag>,
    lineage: Lineage,
    /// When the fleet is looked at next, if it asked for that.
    armed: Option<Moment>,
}

/// How often time is looked at: idle instances, calls that have waited too long.
const TICK: Duration = Duration::from_secs(1);

/// How often somebody who waits for promised instances looks.
const PROVISION_POLL: Duration = Duration::from_millis(5);

/// The stream of the platform's own remarks about a function.
const REMARKS: &str = "dayfly";

/// After the drain's deadline, the time that killed sandboxes get to vanish.
const LAST_GRACE: Duration = Duration::from_secs(10);

impl Engine {
    /// An engine with no instance. Needs a tokio runtime, on which it starts its clock.
    pub fn new(parts: Parts) -> Arc<Self> {
        let (ender, end) = Ender::new();
        let state = State {
            fleet: Fleet::new(parts.bounds),
            jobs: HashMap::new(),
            owners: HashMap::new(),
            tags: HashMap::new(),
            lineage: Lineage::default(),
            armed: None,
        };
        let engine = Arc::new_cyclic(|me| Self {
            parts,
            state: Mutex::new(state),
            ender,
            end,
            gone: Notify::new(),
            sooner: Arc::default(),
            me: me.clone(),
        });
        let (weak, world) = (Arc::downgrade(&engine), engine.parts.world.clone());
        tokio::spawn(watch_time(weak, engine.sooner.clone(), world, engine.end.clone()));
        engine
    }

    /// Runs a call to its end and says how it ended.
    ///
    /// Dropping the future withdraws a call that has no instance yet. One that has runs to its end, and the
    /// instance is reused or retired as if the caller were there.
    ///
    /// # Errors
    /// [`Refused`]: the call did not run.
    pub async fn invoke(&self, version: &Arc<Version>, call: Call) -> Result<Done, Refused> {
        self.run(version, call, Reply::Done).await
    }

    /// As [`Engine::invoke`], for callers who want nothing but the answer: they have it before the call's last lines
    /// and its record are written. On one thread these are written before anything runs that the answer sets off.
    ///
    /// # Errors
    /// [`Refused`]: the call did not run.
    pub async fn answer(&self, version: &Arc<Version>, call: Call) -> Result<Answer, Refused> {
        self.run(version, call, Reply::Answer).await
    }

    /// Writes a line of the platform's own into a function's log, to a stream that no instance has: what is wrong with
    /// what the function does, seen by who uses its answer.
    pub fn remark(&self, version: &Version, text: &str) {
        let (group, line) = (&version.log_group, format!("[dayfly] {text}"));
        self.parts.journal.line(group, REMARKS, self.parts.world.now().0, line.as_bytes());
    }

    async fn run<T>(
        &self,
        version: &Arc<Version>,
        call: Call,
        reply: fn(oneshot::Sender<Result<T, Refused>>) -> Reply,
    ) -> Result<T, Refused> {
        let done = self.attempt(version, call, reply).await;
        if let Err(Refused::Throttled { limit, .. }) = &done {
            self.parts.journal.throttled(version.function.as_str(), limit);
        }
        done
    }

    async fn attempt<T>(
        &self,
        version: &Arc<Version>,
        call: Call,
        reply: fn(oneshot::Sender<Result<T, Refused>>) -> Reply,
    ) -> Result<T, Refused> {
        let (sender, answer) = oneshot::channel();
        let reply = reply(sender);
        let request = {
            let now = self.parts.world.moment();
            let mut state = self.lock();
            let line = state.lineage.of(&call.from, &version.function).inspect_err(|_| {
                tracing::warn!(function = %version.function, from = call.from, "a loop of calls is stopped");
            })?;
            let (request, actions) = state.fleet.request(version, now)?;
            let started = self.parts.world.now();
            state.jobs.insert(request, Job { request, call, arrived: now, started, tries: 0, reply, line });
            self.apply(&mut state, actions);
            request
        };
        let waiting = Withdrawal { engine: self, request: Some(request) };
        let done = answer.await.unwrap_or_else(|_| Err(Refused::Sandbox("the instance was lost".into())));
        waiting.over();
        done
    }

    /// Ends a version's instances, except those of revision `keep_revision`: idle ones now, busy ones after their
    /// call. New calls get new instances.
    pub fn retire(&self, version: &VersionName, keep_revision: Option<&str>) {
        self.change(|fleet, now| fleet.retire(version, keep_revision, now));
    }

    /// A function version is about to be used.
    pub fn prepare(&self, version: &Arc<Version>) {
        self.parts.start.prepare(version);
    }

    /// Waits until a first call finds what was prepared for it, where that is a matter of a moment.
    pub async fn prepared(&self, version: &Arc<Version>) {
        self.parts.start.prepared(version).await;
    }

    /// Ends a version's instances, and lets its next start take this rung. Returns when it can.
    pub async fn restart(&self, version: &Arc<Version>, rung: Rung) {
        self.retire(&version.name(), None);
        self.parts.start.want(version, rung).await;
    }

    /// So many calls are reserved for functions of this version's tenant, in all.
    pub fn reserve(&self, version: &Version, calls: u32) {
        self.lock().fleet.reserve(version, calls);
    }

    /// From now on, `instances` of this version are kept ready; with 0, none are.
    pub fn promise(&self, version: &Arc<Version>, instances: u32) {
        let count = usize::try_from(instances).unwrap_or(usize::MAX);
        self.parts.start.promise(version, instances);
        self.change(|fleet, now| fleet.promise(version, count, now));
    }

    /// How the promise to a version is kept; `None`: it has none.
    pub fn provision(&self, version: &VersionName) -> Option<Provision> {
        let now = self.parts.world.moment();
        self.lock().fleet.provision(version, now)
    }

    /// Waits until the instances that a version was promised are there, or cannot be, or `patience` is over.
    pub async fn provisioned(&self, version: &VersionName, patience: Duration) {
        let settled = async {
            let in_progress = |kept: Provision| kept.state == ProvisionState::InProgress;
            while self.provision(version).is_some_and(in_progress) {
                self.parts.world.sleep(PROVISION_POLL).await;
            }
        };
        tokio::select! {
            () = settled => {}
            () = self.parts.world.sleep(patience) => {}
        }
    }

    /// What there is of the process that a version's instances shall be copies of.
    pub fn snapshot(&self, version: &Version) -> Snapshot {
        self.parts.start.snapshot(version)
    }

    /// A version is gone: its instances end, and nothing is kept for it.
    pub fn forget(&self, version: &VersionName) {
        self.lock().fleet.promises.remove(version);
        self.retire(version, None);
        self.parts.start.forget(version);
    }

    /// Takes no new calls, lets running and waiting ones finish until `deadline`, then ends everything. Returns
    /// when no instance is left.
    pub async fn drain(&self, deadline: Duration) {
        self.change(|fleet, now| fleet.close(now));
        tokio::select! {
            () = self.empty() => {}
            () = self.parts.world.sleep(deadline) => {}
        }
        self.change(|fleet, _| fleet.abandon());
        self.ender.end();
        self.parts.start.close();
        tokio::select! {
            () = self.empty() => {}
            () = self.parts.world.sleep(LAST_GRACE) => {
                tracing::error!("instances are left that could not be ended");
            }
        }
    }

    /// Every instance there is, in order of creation.
    pub fn instances(&self) -> Vec<InstanceSummary> {
        let now = self.parts.world.moment();
        let state = self.lock();
        let mut members: Vec<_> = state.fleet.members.iter().collect();
        members.sort_by_key(|(id, _)| **id);
        let summary = |(id, member): (&InstanceId, &crate::fleet::Member)| {
            let version = &state.fleet.pools[&member.pool].version;
            InstanceSummary {
                id: state.tags.get(id).map(|tag| tag.instance_id.clone()).unwrap_or_default(),
                function: version.function.to_string(),
                version: version.version.clone(),
                revision: version.revision.clone(),
                state: member.state,
                since_us: u64::try_from((now - member.since).as_micros()).unwrap_or(u64::MAX),
                memory_mb: version.memory_mb,
                served: member.served,
            }
        };
        members.into_iter().map(summary).collect()
    }

    /// How many calls wait for an instance, by function, of those that have instances or calls.
    pub fn queues(&self) -> BTreeMap<String, usize> {
        let mut queues = BTreeMap::new();
        for pool in self.lock().fleet.pools.values() {
            *queues.entry(pool.version.function.to_string()).or_default() += pool.waiting.len();
        }
        queues
    }

    pub(crate) fn world(&self) -> &World {
        &self.parts.world
    }

    pub(crate) fn journal(&self) -> &Arc<dyn Journal> {
        &self.parts.journal
    }

    pub(crate) fn start(&self) -> &dyn Start {
        &*self.parts.start
    }

    /// Returns once everything must end at once.
    pub(crate) async fn stopped(&self) {
        self.end.wait().await;
    }

    /// The same, for those who keep it.
    pub(crate) async fn stopped_owned(self: Arc<Self>) {
        self.stopped().await;
    }

    /// An instance is up.
    pub(crate) fn started(&self, instance: InstanceId) {
        self.change(|fleet, now| fleet.started(instance, now));
    }

    /// An instance did not come up; `at_fault`: the function's own code is to blame. Returns the calls that bear it,
    /// with the reason it was started for.
    pub(crate) fn start_failed(&self, instance: InstanceId, at_fault: bool) -> Vec<(Job, &'static str)> {
        let now = self.parts.world.moment();
        let mut state = self.lock();
        let why = state.fleet.members.get(&instance).map_or("", |member| member.why);
        let actions = state.fleet.start_failed(instance, at_fault, now);
        let failed = self.apply(&mut state, actions);
        failed.into_iter().map(|job| (job, why)).collect()
    }

    /// An instance has ended one of its calls. Unless `reusable`, it gets no more.
    pub(crate) fn freed(&self, instance: InstanceId, reusable: bool) {
        self.change(|fleet, now| fleet.freed(instance, reusable, now));
    }

    /// An instance ended by itself. The calls that it was given and did not take, in its owner's hand or still in the
    /// mailbox, wait again; every other was reported as freed.
    pub(crate) fn lost(
        &self,
        instance: InstanceId,
        in_hand: Option<Job>,
        mailbox: &mut mpsc::Receiver<(Job, Source)>,
    ) {
        let now = self.parts.world.moment();
        let mut state = self.lock();
        let mut untaken: Vec<Waiting> = Vec::new();
        let mailed = std::iter::from_fn(|| mailbox.try_recv().ok().map(|(job, _)| job));
        for job in in_hand.into_iter().chain(mailed) {
            untaken.push(Waiting { request: job.request, since: job.arrived });
            state.jobs.insert(job.request, job);
        }
        let actions = state.fleet.lost(instance, &untaken, now);
        self.apply(&mut state, actions);
    }

    /// An instance that serves other calls takes no more: this one, which it was given and did not take, waits again.
    pub(crate) fn hand_back(&self, instance: InstanceId, job: Job) {
        let now = self.parts.world.moment();
        let mut state = self.lock();
        let call = Waiting { request: job.request, since: job.arrived };
        state.jobs.insert(job.request, job);
        let actions = state.fleet.handed_back(instance, call, now);
        self.apply(&mut state, actions);
    }

    /// Nothing is left of an instance.
    pub(crate) fn gone(&self, instance: InstanceId) {
        let now = self.parts.world.moment();
        let mut state = self.lock();
        state.owners.remove(&instance);
        if let Some(tag) = state.tags.remove(&instance) {
            state.lineage.gone(&tag.instance_id);
        }
        let actions = state.fleet.gone(instance, now);
        self.apply(&mut state, actions);
        if state.fleet.members.is_empty() {
            self.gone.notify_waiters();
        }
    }

    /// Lets the fleet look at the time if that is due. Returns when it is due next.
    fn look(&self, tick: &mut Moment, now: Moment) -> Moment {
        let armed = self.lock().armed;
        if now >= *tick || armed.is_some_and(|armed| now >= armed) {
            self.lock().armed = None;
            let ticks = now >= *tick;
            if ticks {
                *tick = now + TICK;
            }
            self.change(|fleet, now| if ticks { fleet.tick(now) } else { fleet.look_again(now) });
        }
        self.lock().armed.map_or(*tick, |armed| armed.min(*tick))
    }

    async fn empty(&self) {
        loop {
            let gone = self.gone.notified();
            if self.lock().fleet.members.is_empty() {
                return;
            }
            gone.await;
        }
    }

    fn change(&self, event: impl FnOnce(&mut Fleet, Moment) -> Vec<Action>) {
        let now = self.parts.world.moment();
        let mut state = self.lock();
        let actions = event(&mut state.fleet, now);
        let failed = self.apply(&mut state, actions);
        debug_assert!(failed.is_empty(), "only a failed start fails calls");
    }

    /// Carries out what the fleet decided. Returns the calls that it failed. Never waits.
    fn apply(&self, state: &mut State, actions: Vec<Action>) -> Vec<Job> {
        let mut failed = Vec::new();
        for action in actions {
            match action {
                Action::Start { instance, version, provisioned } => {
                    self.begin(state, instance, version, provisioned);
                }
                Action::Assign { instance, request, source } => {
                    let job = state.jobs.remove(&request).expect("assigned calls wait in the table");
                    state.lineage.given(&state.tags[&instance].instance_id, &job.line);
                    let owner = state.owners.get(&instance).expect("instances with work have owners");
                    if let Err(error) = owner.try_send((job, source)) {
                        let (mpsc::error::TrySendError::Full((job, _))
                        | mpsc::error::TrySendError::Closed((job, _))) = error;
                        job.reply.refuse(Refused::Sandbox("the instance ended".into()));
                    }
                }
                Action::Retire { instance } => {
                    state.owners.remove(&instance);
                }
                Action::Refuse { request, refused } => {
                    if let Some(job) = state.jobs.remove(&request) {
                        job.reply.refuse(refused);
                    }
                }
                Action::Fail { request } => failed.extend(state.jobs.remove(&request)),
            }
        }
        if state.fleet.alarm.is_some_and(|alarm| state.armed.is_none_or(|armed| alarm < armed)) {
            state.armed = state.fleet.alarm;
            self.sooner.notify_one();
        }
        failed
    }

    fn begin(&self, state: &mut State, id: InstanceId, version: Arc<Version>, provisioned: bool) {
        let engine = self.me.upgrade().expect("someone holds the engine to call it");
        let world = &self.parts.world;
        let tag = InstanceTag {
            instance_id: world.uuid(),
            arn: version.arn.clone(),
            log_stream: log_stream(world, &version),
            provisioned,
        };
        let slots = usize::try_from(version.instance_concurrency.max(1)).unwrap_or(usize::MAX);
        let (owner, jobs) = mpsc::channel(slots);
        state.owners.insert(id, owner);
        state.tags.insert(id, tag.clone());
        let origin = Origin::default();
        tokio::spawn(Owner { engine, id, version, tag, jobs, origin }.live());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock can panic")
    }
}

/// A new log stream of a function version.
pub(crate) fn log_stream(world: &World, version: &Version) -> String {
    format!("{}/[{}]{}", crate::date::day(world.now()), version.version, world.hex(16))
}

/// Takes a call back whose caller has left, as long as no instance has it.
struct Withdrawal<'a> {
    engine: &'a Engine,
    request: Option<RequestId>,
}

impl Withdrawal<'_> {
    fn over(mut self) {
        self.request = None;
    }
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        let Some(request) = self.request else { return };
        let now = self.engine.parts.world.moment();
        let mut state = self.engine.lock();
        if state.jobs.remove(&request).is_some() {
            let actions = state.fleet.withdraw(request, now);
            self.engine.apply(&mut state, actions);
        }
    }
}

/// Looks at the fleet once in a tick, and whenever it asked for it in between.
async fn watch_time(weak: Weak<Engine>, sooner: Arc<Notify>, world: World, end: End) {
    let mut tick = world.moment() + TICK;
    loop {
        let now = world.moment();
        let Some(due) = weak.upgrade().map(|engine| engine.look(&mut tick, now)) else { return };
        tokio::select! {
            () = world.sleep(due - now) => {}
            () = sooner.notified() => {}
            () = end.wait() => return,
        }
    }
}
