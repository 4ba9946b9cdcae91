//! No control groups: limits per process only.

use super::{Group, Hierarchy};
use std::io;

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

impl Group for NoGroup {}
