//! Making spares: until there are as many as are worth keeping, one at a time, while nothing else is started.

use super::{Spare, Stage, Templates};
use crate::output;
use crate::recipes::Key;
use sandbox::{Sandbox, Spec, Template};
use std::sync::Arc;
use std::time::Duration;

/// Spares are made when nothing was started for so long: they are for later, and who starts now needs the processors.
const CALM: Duration = Duration::from_millis(25);

/// How long that is waited for: others may start without a pause.
const CALM_PATIENCE: Duration = Duration::from_millis(250);

/// What a process that shall wait may take to become ready, beyond which it is given up: as long as a template.
const MAKING_PATIENCE: Duration = Duration::from_secs(model::limit("snapshot-init"));

impl Templates {
    /// Waits until nothing has been started for a while, within its patience.
    async fn calm(&self) {
        let began = self.world.moment();
        loop {
            let now = self.world.moment();
            let rest = rest(now - self.lock().started_at, now - began);
            if rest.is_zero() {
                return;
            }
            self.world.sleep(rest).await;
        }
    }

    /// Makes spares until there are as many as are worth keeping, one at a time, while nothing else is started.
    pub(super) fn refill(&self, key: Key) {
        let Some(me) = self.me.upgrade() else { return };
        match self.lock().lines.get_mut(&key) {
            Some(line) if !line.refilling && line.spares.len() < line.kept.spares => line.refilling = true,
            _ => return,
        }
        tokio::spawn(async move {
            loop {
                me.calm().await;
                let Some((template, recipe)) = me.lacking(&key) else { break };
                let spare = match &template {
                    Some(template) => {
                        me.launcher.fork(template, recipe.clone()).await.map_err(|error| error.to_string())
                    }
                    None => me.process(recipe.clone()).await,
                };
                if !me.take_in(&key, spare.map(|sandbox| Spare { sandbox, recipe }), template.as_deref()) {
                    break;
                }
            }
            if let Some(line) = me.lock().lines.get_mut(&key) {
                line.refilling = false;
            }
        });
    }

    /// Keeps a spare that was made. Returns whether more can be made.
    fn take_in(&self, key: &Key, spare: Result<Spare, String>, template: Option<&Template>) -> bool {
        let at = self.world.moment();
        let mut state = self.lock();
        let Some(line) = state.lines.get_mut(key) else { return false };
        match spare {
            Ok(spare) => line.spares.push_back(spare),
            Err(why) => {
                tracing::info!(?key, why, "no spare can be made");
                match template {
                    None => line.stage = Stage::Refused { why, at },
                    Some(template) if template.sandbox.has_ended() => line.stage = Stage::Absent,
                    Some(_) => {}
                }
                return false;
            }
        }
        true
    }

    /// A process that has made itself ready and waits. What it printed on the way is nobody's.
    async fn process(&self, spec: Spec) -> Result<Sandbox, String> {
        let sandbox = self.launcher.create(spec).await.map_err(|error| error.to_string())?;
        let control = sandbox.control.as_ref().ok_or("it came without its control socket")?;
        tokio::select! {
            waits = runtimes::waits(control) => waits.map_err(|error| format!("it did not come so far: {error}"))?,
            () = self.world.sleep(MAKING_PATIENCE) => return Err(too_long()),
        }
        for pipe in [&sandbox.stdout, &sandbox.stderr] {
            output::forget(pipe).map_err(|error| error.to_string())?;
        }
        Ok(sandbox)
    }

    /// What a spare that is to be made is copied from, if from anything, and its spec.
    fn lacking(&self, key: &Key) -> Option<(Option<Arc<Template>>, Spec)> {
        let state = self.lock();
        let line = state.lines.get(key).filter(|line| line.spares.len() < line.kept.spares)?;
        match &line.stage {
            Stage::Ready(template) => Some((Some(Arc::clone(template)), line.recipe.spare.clone())),
            Stage::Processes => Some((None, line.recipe.spare.clone())),
            _ => None,
        }
    }
}

/// How long to wait yet before a spare is made: the last start began `since` ago, and it has been waited so long.
fn rest(since: Duration, waited: Duration) -> Duration {
    CALM.saturating_sub(since).min(CALM_PATIENCE.saturating_sub(waited))
}

fn too_long() -> String {
    format!("it was not ready after {} s", MAKING_PATIENCE.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spares_wait_for_calm_within_a_patience() {
        let ms = Duration::from_millis;
        for (since, waited, expected) in [
            (0, 0, 25),
            (10, 0, 15),
            (25, 0, 0),
            (1000, 0, 0),
            (0, 230, 20),
            (20, 249, 1),
            (0, 250, 0),
            (0, 1000, 0),
        ] {
            assert_eq!(
                rest(ms(since), ms(waited)),
                ms(expected),
                "{since} ms after a start, waited {waited} ms"
            );
        }
    }
}
