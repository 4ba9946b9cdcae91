//! The keeper of templates and spares: makes what `ladder` says is worth keeping, hands it out, lets go of the rest.

use crate::ladder::{self, Arrivals, Costs, Kept, Offer};
use crate::sandboxes::Budget;
use crate::start::Journal;
use crate::telling::{self, Stream};
use model::{FunctionName, Rung};
use sandbox::{Launcher, Sandbox, Spec, Template};
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use world::{Moment, World};

/// How often it is looked at what to keep.
const TICK: Duration = Duration::from_secs(1);

/// A template that was refused is not tried again for so long.
const REFUSED_FOR: Duration = Duration::from_secs(300);

/// What a template is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// An interpreter, by its executable.
    Runtime(PathBuf),
    /// A function's revision.
    Function(FunctionName, String),
}

/// How a template and its spares are made.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) template: Spec,
    pub(crate) spare: Spec,
    /// Where to log what the template prints; `None`: it is nobody's.
    pub(crate) stream: Option<Stream>,
}

/// What was found for a start.
pub(crate) enum Found {
    /// A copy that waits.
    Spare(Box<Sandbox>),
    /// A template to copy.
    Template(Arc<Template>),
    /// Neither, and why.
    Nothing(String),
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
    /// Functions whose next start shall take this rung.
    wanted: HashMap<FunctionName, Rung>,
}

/// One template and its spares.
struct Line {
    recipe: Recipe,
    stage: Stage,
    spares: VecDeque<Sandbox>,
    arrivals: Arrivals,
    kept: Kept,
    refilling: bool,
}

enum Stage {
    Absent,
    Making,
    Ready(Arc<Template>),
    Refused { why: String, at: Moment },
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
    pub(crate) fn find(&self, key: &Key, recipe: impl FnOnce() -> Recipe, best: Rung) -> Found {
        let now = self.world.moment();
        let mut state = self.lock();
        if let Key::Function(name, revision) = key {
            // Whoever asks for a revision asks no more for those before it.
            state
                .lines
                .retain(|other, _| !matches!(other, Key::Function(n, r) if n == name && r != revision));
        }
        let line = state.lines.entry(key.clone()).or_insert_with(|| Line::new(recipe()));
        line.arrivals.note(now);
        line.kept.template = true;
        while let Some(spare) = if best == Rung::Spare { line.spares.pop_front() } else { None } {
            if !spare.has_ended() {
                drop(state);
                self.refill(key.clone());
                return Found::Spare(Box::new(spare));
            }
        }
        let found = match &line.stage {
            Stage::Ready(template) if !template.sandbox.has_ended() => Found::Template(Arc::clone(template)),
            Stage::Ready(_) | Stage::Absent => Found::Nothing("its template was not made yet".into()),
            Stage::Making => Found::Nothing("its template is being made".into()),
            Stage::Refused { why, at } if now - *at < REFUSED_FOR => {
                return Found::Nothing(format!("it cannot be forked: {why}"));
            }
            Stage::Refused { .. } => Found::Nothing("its template is made again".into()),
        };
        if matches!(line.stage, Stage::Making) {
            return found;
        }
        if let Found::Template(_) = &found {
            drop(state);
            self.refill(key.clone());
        } else {
            line.stage = Stage::Making;
            drop(state);
            self.make(key.clone());
        }
        found
    }

    /// Makes a template ahead of the first start, as long as the budget has room for it.
    pub(crate) fn prepare(&self, key: &Key, recipe: impl FnOnce() -> Recipe) {
        let (now, budget) = (self.world.moment(), to_f64((self.budget)()));
        let mut state = self.lock();
        let used: f64 = state.lines.keys().map(|key| costs(key).template_bytes).sum();
        if state.lines.contains_key(key) || used + costs(key).template_bytes > budget {
            return;
        }
        let mut line = Line::new(recipe());
        line.stage = Stage::Making;
        line.kept.template = true;
        // As if it had been started: without any it would not be kept.
        line.arrivals.note(now);
        state.lines.insert(key.clone(), line);
        drop(state);
        self.make(key.clone());
    }

    /// Whether a start can take this rung now; makes what it lacks.
    pub(crate) fn can(&self, key: &Key, recipe: impl FnOnce() -> Recipe, rung: Rung) -> bool {
        let now = self.world.moment();
        let mut state = self.lock();
        let line = state.lines.entry(key.clone()).or_insert_with(|| Line::new(recipe()));
        if line.kept.spares == 0 {
            line.arrivals.note(now);
        }
        line.kept = Kept { template: true, spares: line.kept.spares.max(1) };
        let (can, lacks) = match &line.stage {
            Stage::Refused { .. } => (true, None),
            Stage::Making => (false, None),
            Stage::Absent => (false, Some(Rung::Fork)),
            Stage::Ready(_) if rung == Rung::Spare && line.spares.is_empty() => (false, Some(Rung::Spare)),
            Stage::Ready(_) => (true, None),
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
        can || matches!(rung, Rung::Idle | Rung::Spawn)
    }

    /// The next start of a function takes this rung.
    pub(crate) fn want(&self, function: &FunctionName, rung: Rung) {
        self.lock().wanted.insert(function.clone(), rung);
    }

    /// What the next start of a function shall take, once; the best there is otherwise.
    pub(crate) fn take_wanted(&self, function: &FunctionName) -> Rung {
        self.lock().wanted.remove(function).unwrap_or(Rung::Spare)
    }

    /// Nothing of a function is kept any more.
    pub(crate) fn forget(&self, function: &FunctionName) {
        let mut state = self.lock();
        state.wanted.remove(function);
        state.lines.retain(|key, _| !matches!(key, Key::Function(name, _) if name == function));
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
        let offers: Vec<Offer> = keys.iter().map(|key| state.lines[key].offer(key, now)).collect();
        let kept = ladder::keep(&offers, budget);
        let mut hungry = Vec::new();
        for (key, kept) in keys.into_iter().zip(kept) {
            let Some(line) = state.lines.get_mut(&key) else { continue };
            line.kept = kept;
            line.spares.retain(|spare| !spare.has_ended());
            line.spares.truncate(kept.spares);
            match &line.stage {
                Stage::Ready(_) if !kept.template => drop(state.lines.remove(&key)),
                Stage::Ready(_) if line.spares.len() < kept.spares => hungry.push(key),
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
            let made = me.made(recipe).await;
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

    async fn made(&self, recipe: Recipe) -> Result<Template, String> {
        let template = self.launcher.template(recipe.template).await.map_err(|error| error.to_string())?;
        telling::hear(&template, recipe.stream, &self.journal, &self.world).await?;
        Ok(template)
    }

    /// Makes spares until there are as many as are worth keeping, one at a time.
    fn refill(&self, key: Key) {
        let Some(me) = self.me.upgrade() else { return };
        match self.lock().lines.get_mut(&key) {
            Some(line) if !line.refilling && line.spares.len() < line.kept.spares => line.refilling = true,
            _ => return,
        }
        tokio::spawn(async move {
            while let Some((template, spec)) = me.lacking(&key) {
                let spare = me.launcher.fork(&template, spec).await;
                let mut state = me.lock();
                let Some(line) = state.lines.get_mut(&key) else { return };
                match spare {
                    Ok(spare) => line.spares.push_back(spare),
                    Err(error) => {
                        tracing::info!(?key, %error, "no spare can be made");
                        if template.sandbox.has_ended() {
                            line.stage = Stage::Absent;
                        }
                        break;
                    }
                }
            }
            if let Some(line) = me.lock().lines.get_mut(&key) {
                line.refilling = false;
            }
        });
    }

    /// The template and the spec of a spare that is to be made.
    fn lacking(&self, key: &Key) -> Option<(Arc<Template>, Spec)> {
        let state = self.lock();
        let line = state.lines.get(key).filter(|line| line.spares.len() < line.kept.spares)?;
        match &line.stage {
            Stage::Ready(template) => Some((Arc::clone(template), line.recipe.spare.clone())),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn new(recipe: Recipe) -> Self {
        let (stage, spares, arrivals) = (Stage::Absent, VecDeque::new(), Arrivals::default());
        Self { recipe, stage, spares, arrivals, kept: Kept::default(), refilling: false }
    }

    fn offer(&self, key: &Key, now: Moment) -> Offer {
        Offer { rate: self.arrivals.rate(now), costs: costs(key), promised: 0 }
    }
}

/// What machines of today need; only how the figures compare counts.
fn costs(key: &Key) -> Costs {
    const MEBIBYTE: f64 = 1024.0 * 1024.0;
    match key {
        Key::Runtime(_) => Costs {
            spawn_us: 50_000.0,
            fork_us: 3_000.0,
            spare_us: 500.0,
            refill_us: 4_000.0,
            template_bytes: 16.0 * MEBIBYTE,
            spare_bytes: 1.5 * MEBIBYTE,
        },
        Key::Function(..) => Costs {
            spawn_us: 250_000.0,
            fork_us: 4_000.0,
            spare_us: 500.0,
            refill_us: 5_000.0,
            template_bytes: 48.0 * MEBIBYTE,
            spare_bytes: 2.0 * MEBIBYTE,
        },
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share of memory")]
fn to_f64(bytes: u64) -> f64 {
    bytes as f64
}
