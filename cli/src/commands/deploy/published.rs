//! A version of what was deployed, which stays as it is.

use super::apply::{Site, ready};
use crate::api::lambda::{self, Configuration};
use crate::failure::Failure;
use serde_json::{Value, json};

/// A published version.
#[derive(Debug)]
pub struct Published {
    version: Configuration,
    is_new: bool,
}

/// Publishes what was deployed, unless it is published already, and waits until it can be called.
pub async fn settle(site: &Site<'_>, deployed: &Configuration) -> Result<Published, Failure> {
    let phase = site.context.screen.phase("publish", "publishing");
    let before = lambda::versions(site.client, site.name).await?;
    let published = lambda::publish(site.client, site.name, &deployed.revision_id).await?;
    let is_new = before.iter().all(|before| before.version != published.version);
    let version = ready(site, &format!("{}:{}", site.name, published.version)).await?;
    let published = Published { version, is_new };
    phase.done(published.words());
    Ok(published)
}

impl Published {
    /// For the user.
    pub fn words(&self) -> String {
        let number = &self.version.version;
        match self.is_new {
            true => format!("version {number}"),
            false => format!("version {number} is the same: no other was published"),
        }
    }

    /// How it is called.
    pub fn name(&self) -> String {
        format!("{}:{}", self.version.function_name, self.version.version)
    }

    /// For programs.
    pub fn document(&self) -> Value {
        json!({ "version": self.version.version, "arn": self.version.function_arn, "new": self.is_new })
    }
}
