//! Makes the function what it shall be, and waits until it is.

use super::plan::{Change, Desired};
use crate::api::lambda::{self, Configuration};
use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::package::Zip;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(50);
const POLLS: u32 = 1200;

/// Where the change happens.
pub struct Site<'a> {
    /// The platform.
    pub client: &'a Client,
    /// The command's surroundings.
    pub context: &'a Context,
    /// The function.
    pub name: &'a str,
    /// The platform's account.
    pub account: &'a str,
}

/// What was done.
#[derive(Debug)]
pub enum Outcome {
    /// A new function.
    Created(Configuration),
    /// New code, new settings, or both.
    Updated {
        /// The function now.
        configuration: Configuration,
        /// Whether code was uploaded.
        code: bool,
        /// The settings that changed.
        settings: Vec<Change>,
    },
    /// Nothing: it was so already.
    Unchanged(Configuration),
}

impl Outcome {
    /// One word for it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Updated { .. } => "updated",
            Self::Unchanged(_) => "unchanged",
        }
    }

    /// What changed, for the user.
    pub fn changes(&self) -> Vec<String> {
        match self {
            Self::Updated { code, settings, .. } => {
                let code = code.then(|| "code".to_owned());
                code.into_iter().chain(settings.iter().map(|change| change.words.clone())).collect()
            }
            Self::Created(_) | Self::Unchanged(_) => Vec::new(),
        }
    }

    /// The function as it is now.
    pub fn configuration(&self) -> &Configuration {
        match self {
            Self::Created(configuration)
            | Self::Unchanged(configuration)
            | Self::Updated { configuration, .. } => configuration,
        }
    }
}

/// Creates the function, or updates what differs.
pub async fn apply(
    site: &Site<'_>,
    present: Option<&Configuration>,
    desired: &Desired,
    zip: &Zip,
) -> Result<Outcome, Failure> {
    let Some(present) = present else { return create(site, desired, zip).await };
    let code = present.code_sha256 != zip.sha256;
    let settings = desired.changes(present);
    if !code && settings.is_empty() {
        return Ok(Outcome::Unchanged(present.clone()));
    }
    // Settings first: should the code's upload fail, the old code runs on as it did.
    let phase = site.context.screen.phase("update", "updating");
    settle(site).await?;
    if !settings.is_empty() {
        lambda::update_configuration(site.client, site.name, &desired.update(&settings)).await?;
        settle(site).await?;
    }
    if code {
        lambda::update_code(site.client, site.name, &STANDARD.encode(&zip.bytes)).await?;
    }
    let configuration = settle(site).await?;
    let path = match (code, settings.is_empty()) {
        (true, true) => "code swapped, settings unchanged",
        (true, false) => "code swapped, settings changed",
        (false, _) => "settings changed, code unchanged: nothing was uploaded",
    };
    phase.done(path);
    Ok(Outcome::Updated { configuration, code, settings })
}

async fn create(site: &Site<'_>, desired: &Desired, zip: &Zip) -> Result<Outcome, Failure> {
    let phase = site.context.screen.phase("create", "uploading");
    lambda::create(site.client, &desired.create(site.name, site.account, &STANDARD.encode(&zip.bytes)))
        .await?;
    let configuration = settle(site).await?;
    phase.done("code uploaded");
    Ok(Outcome::Created(configuration))
}

async fn settle(site: &Site<'_>) -> Result<Configuration, Failure> {
    ready(site, site.name).await
}

/// Waits until the function, or a version of it, is ready for the next change, or for calls.
pub async fn ready(site: &Site<'_>, name: &str) -> Result<Configuration, Failure> {
    for _ in 0..POLLS {
        let now = lambda::configuration(site.client, name).await?;
        let failed = |reason: &Option<String>| {
            Failure::new(
                format!("{name} cannot run"),
                reason.clone().unwrap_or_else(|| "the platform gives no reason".into()),
                format!("dayfly describe {name}"),
            )
        };
        if now.state == "Failed" {
            return Err(failed(&now.state_reason));
        }
        if now.last_update_status == "Failed" {
            return Err(failed(&now.last_update_status_reason));
        }
        if now.state != "Pending" && now.last_update_status != "InProgress" {
            return Ok(now);
        }
        tokio::time::sleep(POLL).await;
    }
    Err(Failure::new(
        format!("{name} is not ready yet"),
        format!("the platform still works on it after {} s", POLL.as_secs_f32() * POLLS as f32),
        format!("dayfly describe {name}"),
    ))
}
