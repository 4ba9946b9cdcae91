//! What every command gets by hand.

use crate::client::{CallError, Client};
use crate::endpoint::{Environment, Target};
use crate::failure::Failure;
use crate::likeness::closest;
use crate::pasted::Flags;
use crate::screen::Screen;
use crate::{api, home};
use std::path::PathBuf;
use world::World;

/// The surroundings of a command.
#[derive(Clone)]
pub struct Context {
    /// Where words go.
    pub screen: Screen,
    /// `--endpoint`.
    pub endpoint: Option<String>,
    /// The data directory, `--data` or the default.
    pub data: PathBuf,
    /// The flags that named the platform, for commands that the user is told.
    pub flags: Flags,
    /// Clock and randomness.
    pub world: World,
}

impl Context {
    /// Surroundings from the flags that every command has.
    pub fn new(screen: Screen, flags: Flags, data: Option<PathBuf>) -> Self {
        let data = data.unwrap_or_else(home::data);
        Self { screen, endpoint: flags.endpoint.clone(), data, flags, world: World::real() }
    }

    /// Which platform is meant.
    pub fn target(&self) -> Result<Target, Failure> {
        Target::find(self.endpoint.as_deref(), &Environment::read(), &self.data)
    }

    /// A client of that platform.
    pub fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.target()?, self.world.clone()))
    }
}

/// Turns "no such function" into a failure that names the one that was meant.
pub async fn explain(client: &Client, name: &str, error: CallError) -> Failure {
    if !error.is_not_found() {
        return error.into();
    }
    let known = api::lambda::list(client).await.unwrap_or_default();
    let names = known.iter().map(|known| known.function_name.as_str());
    if let Some((function, version)) = name.rsplit_once(':')
        && known.iter().any(|known| known.function_name == function)
    {
        let what = format!("{function} has no version {version:?}");
        return Failure::new(
            what,
            "it was never published, or was deleted",
            format!("dayfly describe {function}"),
        );
    }
    let what = format!("there is no function {name:?}");
    match closest(name, names) {
        Some(meant) => {
            Failure::new(what, format!("did you mean {meant:?}?"), format!("dayfly describe {meant}"))
        }
        None if known.is_empty() => Failure::new(what, "no function was deployed yet", "dayfly deploy ."),
        None => Failure::new(what, "it was never deployed, or was deleted", "dayfly list"),
    }
}
