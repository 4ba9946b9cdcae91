//! How the platform is started.

use crate::Root;
use model::{Egress, Limit, Place};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that `dayfly up` can set. Defaults are those of [`model::LIMITS`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory.
    pub data: PathBuf,
    /// `ADDR:PORT` to listen on; port 0 takes a free one.
    pub listen: String,
    /// What stands behind `<id>.lambda-url.` in function URLs.
    pub base_domain: String,
    /// Account and region.
    pub place: Place,
    /// Calls of all functions, waiting and running.
    pub concurrency: u32,
    /// Percent of the machine's memory that instances may be promised.
    pub memory_percent: u64,
    /// Percent of the machine's memory that templates and spares may hold.
    pub memory_budget: u64,
    /// Whether every function's instances are forked from a process that has loaded its code.
    pub snapstart: bool,
    /// How long an unused instance is kept.
    pub idle_timeout: Duration,
    /// How often the limits of every sandbox are read back.
    pub limits_check: Duration,
    /// Bytes of stored logs and records.
    pub log_bytes: u64,
    /// Age of stored logs and records.
    pub log_age: Duration,
    /// How long running calls may take at shutdown.
    pub drain: Duration,
    /// Open client connections.
    pub connections: usize,
    /// How far out any function may connect.
    pub egress: Egress,
    /// Whether sandboxes shall do without namespaces.
    pub minimal: bool,
    /// What sandboxes see as `/`.
    pub root: Root,
    /// Whether functions of people who do not trust each other run here.
    pub multi_tenant: bool,
}

impl Options {
    /// Defaults for a data directory.
    pub fn new(data: PathBuf) -> Self {
        let seconds = |name| Duration::from_secs(model::limit(name));
        Self {
            data,
            listen: "127.0.0.1:4566".into(),
            base_domain: "localhost".into(),
            place: Place::default(),
            concurrency: u32::try_from(model::limit("account-concurrency")).unwrap_or(u32::MAX),
            memory_percent: model::limit("machine-memory"),
            memory_budget: model::limit("template-memory"),
            snapstart: false,
            idle_timeout: seconds("idle-timeout"),
            limits_check: seconds("limits-check"),
            log_bytes: model::limit("log-store-bytes"),
            log_age: seconds("log-age"),
            drain: seconds("drain"),
            connections: usize::try_from(model::limit("connections")).unwrap_or(usize::MAX),
            egress: Egress::Public,
            minimal: false,
            root: Root::default(),
            multi_tenant: false,
        }
    }

    /// The value of a limit under these options, in the limit's own unit.
    pub fn value_of(&self, limit: &Limit) -> u64 {
        match limit.name {
            "account-concurrency" => self.concurrency.into(),
            "machine-memory" => self.memory_percent,
            "template-memory" => self.memory_budget,
            "idle-timeout" => self.idle_timeout.as_secs(),
            "limits-check" => self.limits_check.as_secs(),
            "log-store-bytes" => self.log_bytes,
            "log-age" => self.log_age.as_secs(),
            "drain" => self.drain.as_secs(),
            "connections" => self.connections as u64,
            _ => limit.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::LIMITS;

    #[test]
    fn every_limit_that_a_flag_lifts_follows_its_option() {
        let usual = Options::new("data".into());
        let lifted = Options {
            concurrency: 1,
            memory_percent: 1,
            memory_budget: 1,
            idle_timeout: Duration::from_secs(1),
            limits_check: Duration::from_secs(1),
            log_bytes: 1,
            log_age: Duration::from_secs(1),
            drain: Duration::from_secs(1),
            connections: 1,
            ..usual.clone()
        };
        for limit in LIMITS {
            assert_eq!(usual.value_of(limit), limit.value, "{}", limit.name);
            let by_flag = limit.lifted_by.starts_with("dayfly up --");
            assert_eq!(lifted.value_of(limit) != limit.value, by_flag, "{}", limit.name);
        }
    }
}
