//! The keeper of templates and spares: makes what `ladder` says is worth keeping, hands it out, lets go of the rest.

mod refill;

use crate::ladder::{self, Arrivals, Kept, Offer};
use crate::recipes::{Key, Recipe};
use crate::sandboxes::Budget;
use crate::start::{Journal, Snapshot};
use crate::telling;
use model::{Rung, VersionName};
use sandbox::{Launcher, Sandbox, Spec, Template};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use world::{Moment, World};

/// How often it is looked at what to keep.
const TICK: Duration = Duration::from_secs(1);

/// A template that was refused is not tried again for so long.
const REFUSED_FOR: Duration = Duration::from_secs(300);

/// What was found for a start.
pub(crate) enum Found {
    /// A copy, or a process, that waits.
    Spare(Box<Spare>),
    /// A template to copy.
    Template(Arc<Template>),
    /// Neither now, and why.
    Nothing(String),
    /// Neither, since it cannot be made, and why.
    Refused(String),
}

/// Something that waits for its work.
pub(crate) struct Spare {
    pub(crate) sandbox: Sandbox,
    /// How it was made.
    pub(crate) recipe: Spec,
}

/// Whether a start can take a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Can {
    Now,
    Soon,
    Never,
}

/// Templates and spares of all runtimes and functions.
pub(crate) struct Templates {
    launcher: Arc<Launcher>,
    journal: Arc<dyn Journal>,
    world: World,
    budget: Budget,
    state: Mutex<State>,
    me: Weak<Self>,
}

#[derive(Default)]
struct State {
    lines: HashMap<Key, Line>,
    /// When the last start began.
    started_at: Moment,
    /// Versions whose next start shall take this rung.
    wanted: HashMap<VersionName, Rung>,
}

/// One template and its spares, or spares alone.
struct Line {
    recipe: Recipe,
    stage: Stage,
    spares: VecDeque<Spare>,
    /// Those whose processes wait; without any, none are kept.
    users: HashSet<VersionName>,
    arrivals: Arrivals,
    kept: Kept,
    refilling: bool,
    /// Versions whose promised instances are started from it.
    promised: HashSet<VersionName>,
}

enum Stage {
    /// There is no template: each spare is a process of its own.
    Processes,
    Absent,
    Making,
    Ready(Arc<Template>),
    Refused {
        why: String,
        at: Moment,
    },
}

impl Templates {
    /// `budget`: bytes that all templates and spares may hold together, now. Needs a tokio runtime.
    pub(crate) fn new(
        launcher: Arc<Launcher>,
        journal: Arc<dyn Journal>,
        world: World,
        budget: Budget,
    ) -> Arc<Self> {
        let templates = Arc::new_cyclic(|me| Self {
            launcher,
            journal,
            world: world.clone(),
            budget,
            state: Mutex::default(),
            me: me.clone(),
        });
        let me = Arc::downgrade(&templates);
        tokio::spawn(async move {
            loop {
                world.sleep(TICK).await;
                let Some(templates) = me.upgrade() else { return };
                templates.balance();
            }
        });
        templates
    }

    /// Notes a start and finds the best there is for it, no better than `best`. What is missing is made meanwhile, for
    /// the next one.
    pub(crate) fn find(
        &self,
        key: &Key,
        user: &VersionName,
        recipe: impl FnOnce() -> Recipe,
        best: Rung,
    ) -> Found {
        let now = self.world.moment();
        let mut state = self.lock();
        state.started_at = now;
        state.leave_behind(key);
        let line = state.line(key, user, recipe);
        line.arrivals.note(now);
        line.kept.template = true;
        while let Some(spare) = if best == Rung::Spare { line.spares.pop_front() } else { None } {
            if !spare.sandbox.has_ended() {
                drop(state);
                self.refill(key.clone());
                return Found::Spare(Box::new(spare));
            }
        }
        let found = match &line.stage {
            Stage::Processes if matches!(key, Key::Function(..)) => {
                Found::Nothing("no process had loaded its code yet".into())
            }
            Stage::Processes => Found::Nothing("no process waits for such a function yet".into()),
            Stage::Ready(template) if !template.sandbox.has_ended() => Found::Template(Arc::clone(template)),
            Stage::Ready(_) | Stage::Absent => Found::Nothing("its template was not made yet".into()),
            Stage::Making => Found::Nothing("its template is being made".into()),
            Stage::Refused { why, at } if now - *at < REFUSED_FOR => {
                return Found::Refused(match &line.recipe.template {
                    Some(_) => format!("it cannot be forked: {why}"),
                    None => format!("no process can wait: {why}"),
                });
            }
            Stage::Refused { .. } => Found::Nothing("it is tried again".into()),
        };
        if matches!(line.stage, Stage::Making) {
            return found;
        }
        if line.recipe.template.is_none() {
            line.stage = Stage::Processes;
        }
        if matches!(line.stage, Stage::Processes) || matches!(found, Found::Template(_)) {
            drop(state);
            self.refill(key.clone());
        } else {
            line.stage = Stage::Making;
            drop(state);
            self.make(key.clone());
        }
        found
    }

    /// Makes a template, or has a process wait, ahead of the first start, as long as the budget has room for it.
    pub(crate) fn prepare(&self, key: &Key, user: &VersionName, recipe: impl FnOnce() -> Recipe) {
        let (now, budget) = (self.world.moment(), to_f64((self.budget)()));
        let mut state = self.lock();
        state.leave_behind(key);
        if let Some(line) = state.lines.get_mut(key) {
            line.admit(key, user);
            return;
        }
        let used: f64 = state.lines.values().map(|line| line.recipe.least_bytes()).sum();
        let recipe = recipe();
        if used + recipe.least_bytes() > budget {
            return;
        }
        let mut line = Line::new(recipe);
        line.admit(key, user);
        line.kept.template = true;
        // As if it had been started: without any it would not be kept.
        line.arrivals.note(now);
        let makes = matches!(line.stage, Stage::Absent);
        if makes {
            line.stage = Stage::Making;
        }
        state.lines.insert(key.clone(), line);
        drop(state);
        if makes { self.make(key.clone()) } else { self.balance() }
    }

    /// Whether a start can take this rung now; makes what it lacks.
    pub(crate) fn can(
        &self,
        key: &Key,
        user: &VersionName,
        recipe: impl FnOnce() -> Recipe,
        rung: Rung,
    ) -> Can {
        if matches!(rung, Rung::Idle | Rung::Spawn) {
            return Can::Now;
        }
        let now = self.world.moment();
        let mut state = self.lock();
        let line = state.line(key, user, recipe);
        if line.kept.spares == 0 {
            line.arrivals.note(now);
        }
        line.kept = Kept { template: true, spares: line.kept.spares.max(1) };
        let (can, lacks) = match &line.stage {
            Stage::Refused { .. } => (Can::Never, None),
            Stage::Processes if rung != Rung::Spare => (Can::Never, None),
            Stage::Making => (Can::Soon, None),
            Stage::Absent => (Can::Soon, Some(Rung::Fork)),
            _ if rung == Rung::Spare && line.spares.is_empty() => (Can::Soon, Some(Rung::Spare)),
            _ => (Can::Now, None),
        };
        if lacks == Some(Rung::Fork) {
            line.stage = Stage::Making;
        }
        drop(state);
        match lacks {
            Some(Rung::Fork) => self.make(key.clone()),
            Some(_) => self.refill(key.clone()),
            None => {}
        }
        can
    }

    /// What there is of a version's template.
    pub(crate) fn snapshot(&self, key: &Key) -> Snapshot {
        let missing = || Snapshot::Missing("it was not made, or made room for what was used more".into());
        match self.lock().lines.get(key).map(|line| &line.stage) {
            Some(Stage::Making) => Snapshot::Making,
            Some(Stage::Ready(template)) if !template.sandbox.has_ended() => Snapshot::Ready,
            Some(Stage::Refused { why, .. }) => Snapshot::Missing(format!("it cannot be forked: {why}")),
            Some(Stage::Ready(_) | Stage::Absent | Stage::Processes) | None => missing(),
        }
    }

    /// Whether a spare is being made and there is none yet.
    pub(crate) fn makes_its_first(&self, key: &Key) -> bool {
        self.lock().lines.get(key).is_some_and(|line| line.refilling && line.spares.is_empty())
    }

    /// Instances of a version are promised, which are started from this. From nothing: none are any more.
    pub(crate) fn promise(&self, version: &VersionName, from: Option<(Key, Recipe)>) {
        let mut state = self.lock();
        for line in state.lines.values_mut() {
            line.promised.remove(version);
        }
        if let Some((key, recipe)) = from {
            state.line(&key, version, || recipe).promised.insert(version.clone());
        }
    }

    /// The next start of a version takes this rung.
    pub(crate) fn want(&self, version: &VersionName, rung: Rung) {
        self.lock().wanted.insert(version.clone(), rung);
    }

    /// What the next start of a version shall take, once; the best there is otherwise.
    pub(crate) fn take_wanted(&self, version: &VersionName) -> Rung {
        self.lock().wanted.remove(version).unwrap_or(Rung::Spare)
    }

    /// Processes wait for a version by this key from now on, and by no other.
    pub(crate) fn leave(&self, version: &VersionName, key: Option<&Key>) {
        self.lock().lines.retain(|other, line| {
            let left = Some(other) != key && line.users.remove(version);
            !left || !line.users.is_empty()
        });
    }

    /// Nothing of a version is kept any more.
    pub(crate) fn forget(&self, version: &VersionName) {
        let mut state = self.lock();
        state.wanted.remove(version);
        for line in state.lines.values_mut() {
            line.promised.remove(version);
        }
        state.lines.retain(|key, line| match key {
            Key::Function(name, _) => name != version,
            Key::Waiting(..) => !(line.users.remove(version) && line.users.is_empty()),
            Key::Runtime(_) => true,
        });
    }

    /// Nothing is kept any more.
    pub(crate) fn close(&self) {
        self.lock().lines.clear();
    }

    /// Looks at what is worth keeping.
    fn balance(&self) {
        let now = self.world.moment();
        let budget = to_f64((self.budget)());
        let mut state = self.lock();
        let keys: Vec<Key> = state.lines.keys().cloned().collect();
        let offers: Vec<Offer> = keys.iter().map(|key| state.offer(&state.lines[key], now)).collect();
        let kept = ladder::keep(&offers, budget);
        let mut hungry = Vec::new();
        for (key, kept) in keys.into_iter().zip(kept) {
            let Some(line) = state.lines.get_mut(&key) else { continue };
            line.kept = kept;
            line.spares.retain(|spare| !spare.sandbox.has_ended());
            line.spares.truncate(kept.spares);
            match &line.stage {
                Stage::Ready(_) if !kept.template => drop(state.lines.remove(&key)),
                Stage::Processes if kept.spares == 0 && matches!(key, Key::Function(..)) => {
                    state.lines.remove(&key);
                }
                Stage::Ready(_) | Stage::Processes if line.spares.len() < kept.spares => hungry.push(key),
                _ => {}
            }
        }
        drop(state);
        hungry.into_iter().for_each(|key| self.refill(key));
    }

    fn make(&self, key: Key) {
        let Some(me) = self.me.upgrade() else { return };
        tokio::spawn(async move {
            let Some(recipe) = me.lock().lines.get(&key).map(|line| line.recipe.clone()) else { return };
            let made = me.made(recipe, ahead(&key)).await;
            let at = me.world.moment();
            if let Err(why) = &made {
                tracing::info!(?key, why, "a template is refused");
            }
            if let Some(line) = me.lock().lines.get_mut(&key) {
                line.stage = match made {
                    Ok(template) => Stage::Ready(Arc::new(template)),
                    Err(why) => Stage::Refused { why, at },
                };
            }
            me.balance();
        });
    }

    async fn made(&self, recipe: Recipe, ahead: usize) -> Result<Template, String> {
        let spec = recipe.template.ok_or("nothing is forked")?;
        let template = self.launcher.template(spec, &recipe.spare, ahead).await;
        let template = template.map_err(|error| error.to_string())?;
        telling::hear(&template, recipe.stream, &self.journal, &self.world).await?;
        Ok(template)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The line of a key, for a start of this function.
    fn line(&mut self, key: &Key, user: &VersionName, recipe: impl FnOnce() -> Recipe) -> &mut Line {
        let mut recipe = Some(recipe);
        let line =
            self.lines.entry(key.clone()).or_insert_with(|| Line::new((recipe.take().expect("once"))()));
        if let (Key::Waiting(..), Some(recipe)) = (key, recipe) {
            // There may be an archive of classes by now.
            line.recipe = recipe();
        }
        line.admit(key, user);
        line
    }

    /// Whoever asks for a revision asks no more for those before it.
    fn leave_behind(&mut self, key: &Key) {
        if let Key::Function(name, revision) = key {
            self.lines.retain(|other, _| !matches!(other, Key::Function(n, r) if n == name && r != revision));
        }
    }

    fn offer(&self, line: &Line, now: Moment) -> Offer {
        let refused =
            |key| self.lines.get(key).is_some_and(|line| matches!(line.stage, Stage::Refused { .. }));
        let sleeps = line.recipe.instead_of.as_ref().is_some_and(|key| !refused(key));
        let rate = if sleeps { 0.0 } else { line.arrivals.rate(now) };
        // The one that takes the place of the next promised instance that ends.
        let promised = usize::from(!line.promised.is_empty());
        Offer { rate, costs: line.recipe.costs, promised }
    }
}

impl Line {
    fn new(recipe: Recipe) -> Self {
        let stage = if recipe.template.is_some() { Stage::Absent } else { Stage::Processes };
        Self {
            recipe,
            stage,
            spares: VecDeque::new(),
            users: HashSet::new(),
            arrivals: Arrivals::default(),
            kept: Kept::default(),
            refilling: false,
            promised: HashSet::new(),
        }
    }

    /// Processes wait for this version, too.
    fn admit(&mut self, key: &Key, user: &VersionName) {
        if matches!(key, Key::Waiting(..)) {
            self.users.insert(user.clone());
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share of memory")]
fn to_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// Empty sandboxes that wait for copies: a runtime's serve every function.
fn ahead(key: &Key) -> usize {
    match key {
        Key::Runtime(_) => 4,
        _ => 1,
    }
}
