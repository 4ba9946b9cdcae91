//! No control groups: limits per process only.

use super::{Entry, Group, Hierarchy, Limits};
use crate::gauge::Meter;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

pub(super) struct NoHierarchy {
    pub(super) why: String,
}

impl Hierarchy for NoHierarchy {
    fn name(&self) -> &'static str {
        "none"
    }

    fn missing(&self) -> Vec<(&'static str, String)> {
        ["memory", "cpu", "pids"].into_iter().map(|controller| (controller, self.why.clone())).collect()
    }

    fn make(&self, _name: &str) -> io::Result<Box<dyn Group>> {
        Ok(Box::new(NoGroup))
    }

    fn remove(&self) {}
}

struct NoGroup;

impl Group for NoGroup {
    fn limit(&self, _limits: &Limits) -> io::Result<()> {
        Ok(())
    }

    fn deviations(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn entry(&self) -> Entry<'_> {
        Entry::Nowhere
    }

    fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(Vec::new())
    }

    fn take_meters(&mut self) -> Vec<(Meter, OwnedFd)> {
        Vec::new()
    }

    fn entered(&mut self) {}

    fn oom_event(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn kill(&self) {}

    fn remove(&self) -> io::Result<()> {
        Ok(())
    }
}
