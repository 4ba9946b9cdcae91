//! Limits that somebody has changed behind the launcher's back: they are read back now and then, and a sandbox whose
//! limits are not as they were set ends.

use super::Service;
use super::member::{Member, Work, tell};
use crate::protocol::Report;

/// Sandboxes that are looked at in one go, so that nobody waits long for the launcher.
const AT_ONCE: usize = 16;

impl Service {
    /// Reads back the limits of the next sandboxes from a number on.
    pub(super) fn read_back(&mut self, from: u64) -> Report {
        let mut keys: Vec<u64> = self.members.keys().copied().filter(|key| *key >= from).collect();
        keys.sort_unstable();
        let next = keys.get(AT_ONCE).copied();
        // What this kernel has never kept is known and said; it is no change.
        let unkept = self.maker.as_ref().map_or(&[][..], |maker| &maker.unkept);
        let kept = |controller: &str| unkept.iter().all(|(unkept, _)| *unkept != controller);
        let ended = |key: &&u64| self.members.get(*key).is_some_and(|member| member.end_if_drifted(kept));
        let changed = keys.iter().take(AT_ONCE).filter(ended).count();
        Report::ReadBack { changed: u32::try_from(changed).unwrap_or(u32::MAX), next }
    }
}

impl Member {
    /// Ends it, and says why, if its limits are not as they were set.
    fn end_if_drifted(&self, kept: impl Fn(&str) -> bool) -> bool {
        let Work::Sandbox(inmate) = &self.work else { return false };
        let deviations = inmate.place.group.deviations().into_iter();
        let deviations: Vec<String> =
            deviations.filter(|(controller, _)| kept(controller)).map(|(_, what)| what).collect();
        if deviations.is_empty() {
            return false;
        }
        if let Some(connection) = self.connection() {
            tell(connection, &Report::Drifted { why: deviations.join("; ") }, &[]);
        }
        self.kill();
        true
    }
}
