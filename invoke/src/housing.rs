//! The ladder of warmth, rung by rung: a spare, a copy of a template, a process that waits, or why there is none.

use crate::recipes::{Key, spec};
use crate::sandboxes::Sandboxes;
use crate::start::{InstanceTag, Origin};
use crate::templates::{Found, Spare};
use model::{Language, Rung, Usage, Version};
use runtimes::StartPlan;
use sandbox::{Sandbox, Spec};
use std::io::{ErrorKind, Write};
use std::sync::Arc;

/// A sandbox with a program in it, and where it came from.
pub(crate) struct Housing {
    pub(crate) sandbox: Sandbox,
    pub(crate) origin: Origin,
    /// What it had used before it was anybody's.
    pub(crate) before: Usage,
    /// What it is told with its first call.
    pub(crate) untold: Vec<u8>,
}

impl Housing {
    pub(crate) fn of(sandbox: Sandbox, rung: Rung) -> Self {
        let origin = Origin { rung, ..Origin::default() };
        Self { sandbox, origin, before: Usage::default(), untold: Vec::new() }
    }
}

impl Sandboxes {
    /// A process that is there already, or a copy of one, told what it is for. Or why there is none.
    pub(crate) async fn warm(
        &self,
        version: &Arc<Version>,
        tag: &InstanceTag,
        plan: &StartPlan,
    ) -> Result<Housing, String> {
        let name = version.name();
        let wanted = self.templates.take_wanted(&name);
        if wanted == Rung::Spawn {
            return Err("as was asked for".into());
        }
        let mut notes = Vec::new();
        let mut forks = false;
        for key in self.keys(version) {
            let key = match key {
                Ok(Key::Waiting(..)) if forks => continue,
                Ok(key) => key,
                Err(why) => {
                    notes.extend(why);
                    continue;
                }
            };
            let found = self.templates.find(&key, &name, || self.recipe(&key, version), wanted);
            forks |= version.runtime.language != Language::Wasm && !matches!(found, Found::Refused(_));
            let bounds = || spec(version, &tag.instance_id, plan.clone());
            let housed = match found {
                Found::Spare(spare) => {
                    // One that has loaded its component is ready before it is told the rest.
                    let ready =
                        matches!(key, Key::Function(..)) && version.runtime.language == Language::Wasm;
                    let sandbox = moved_in(*spare, bounds()).await;
                    sandbox.and_then(|sandbox| told(sandbox, plan.load_frame(), ready))
                }
                Found::Template(template) => {
                    let spec = Spec { greeting: plan.load_frame(), ..bounds() };
                    let forked = self.parts.launcher.fork(&template, spec).await;
                    forked.map(|sandbox| Housing::of(sandbox, Rung::Fork)).map_err(|error| error.to_string())
                }
                Found::Nothing(why) | Found::Refused(why) => Err(why),
            };
            match housed {
                Ok(mut housing) => {
                    notes.insert(0, origin(&key, housing.origin.rung, version.runtime.language));
                    housing.origin.note = notes.join("; ");
                    return Ok(housing);
                }
                Err(why) => notes.push(why),
            }
        }
        // What keeps the function's template away may keep the runtime's away, too.
        notes.dedup();
        Err(notes.join("; "))
    }
}

fn origin(key: &Key, rung: Rung, language: Language) -> String {
    let from = if rung == Rung::Spare { "a spare of" } else { "forked from" };
    match key {
        Key::Function(..) if language == Language::Wasm => "a process that had loaded its component".into(),
        Key::Function(..) => format!("{from} the function's template"),
        Key::Runtime(_) => format!("{from} the runtime's template"),
        Key::Waiting(program, memory_mb) => {
            format!("a process of {} that waited for a function of {memory_mb} MB", program.display())
        }
    }
}

/// A spare of a function has everything; others have no function's files and limits yet.
async fn moved_in(spare: Spare, bounds: Spec) -> Result<Sandbox, String> {
    let Spare { sandbox, recipe } = spare;
    if recipe.waits {
        let binds = bounds.binds.into_iter().filter(|bind| !recipe.binds.contains(bind)).collect();
        sandbox.assign(Spec { binds, ..bounds }).await.map_err(|error| error.to_string())?;
    }
    Ok(sandbox)
}

/// Tells a spare what it is for: at once, or where it is ready without that, together with its first call. It has been told
/// nothing yet, so there is room for all of it.
fn told(sandbox: Sandbox, load: Vec<u8>, ready: bool) -> Result<Housing, String> {
    let before = sandbox.usage();
    let housing = Housing { before, ..Housing::of(sandbox, Rung::Spare) };
    if ready {
        return Ok(Housing { untold: load, ..housing });
    }
    let tell = || -> std::io::Result<()> {
        let control = housing.sandbox.control.as_ref().ok_or(ErrorKind::NotConnected)?;
        let mut writer: &std::os::unix::net::UnixStream = control;
        writer.write_all(&load)
    };
    tell().map_err(|error| error.to_string())?;
    Ok(housing)
}
