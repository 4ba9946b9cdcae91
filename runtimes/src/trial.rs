//! Whether an interpreter can be forked on this machine: one is started, and tries.

use crate::{Interpreter, Runtimes, plan};
use model::limit;
use sandbox::{Launcher, Spec};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(limit("snapshot-init"));
const MEMORY_BYTES: u64 = 512 << 20;

impl Runtimes {
    /// Starts a process of an interpreter that makes itself ready to be forked, has it looked at, and ends it. Needs a
    /// tokio runtime.
    ///
    /// # Errors
    /// Why it cannot be forked, in words.
    pub async fn try_fork(&self, launcher: &Launcher, interpreter: &Interpreter) -> Result<(), String> {
        let plan = plan::template(interpreter, self.folder(), None);
        let spec = Spec {
            id: format!("trial-{}", interpreter.identifier()),
            argv: plan.argv,
            env: plan.env,
            workdir: plan.workdir.to_string_lossy().into_owned(),
            binds: plan.binds,
            memory_bytes: MEMORY_BYTES,
            cpu_millis: 1000,
            pids: u32::try_from(limit("processes")).unwrap_or(u32::MAX),
            ..Spec::default()
        };
        let template = launcher.template(spec.clone(), &spec, 0).await.map_err(|error| error.to_string())?;
        let ready = tokio::time::timeout(PATIENCE, template.ready()).await;
        template.sandbox.kill().await;
        ready.unwrap_or_else(|_| Err(format!("it was not ready after {} s", PATIENCE.as_secs())))
    }
}
