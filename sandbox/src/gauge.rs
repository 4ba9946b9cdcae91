//! What a sandbox has used: read from counters of its control group, or process by process where it has none.
//! The launcher opens the counters, the server reads them through the same descriptors.

use crate::processes;
use model::Usage;
use rustix::io::pread;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

/// What a counter's file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Meter {
    /// v1 `cpuacct.usage`: nanoseconds, exact.
    CpuTotalNs,
    /// v1 `cpuacct.usage_user`: nanoseconds, sampled at clock ticks.
    CpuUserNs,
    /// v1 `cpuacct.usage_sys`: nanoseconds, sampled at clock ticks.
    CpuSystemNs,
    /// v2 `cpu.stat`: microseconds by name.
    CpuStat,
    /// v1 `memory.max_usage_in_bytes`, v2 `memory.peak`.
    PeakBytes,
    /// v1 `memory.oom_control`, v2 `memory.events`: `oom_kill N` among others.
    OomKills,
}

/// The counters of one sandbox.
#[derive(Debug)]
pub(crate) struct Gauge {
    meters: Vec<(Meter, OwnedFd)>,
    process: Option<i32>,
    last: Mutex<Usage>,
    sampled: Mutex<Sampled>,
}

/// The parts of a time that the kernel samples, and the exact total when they were read. They advance by whole clock
/// ticks, so they are not read for every short call.
#[derive(Debug, Clone, Copy, Default)]
struct Sampled {
    user_ns: u64,
    system_ns: u64,
    total_ns: u64,
}

const TICK_NS: u64 = 4_000_000;

impl Gauge {
    /// `process` is the sandbox's first process, for where there are no counters.
    pub(crate) fn new(meters: Vec<(Meter, OwnedFd)>, process: Option<i32>) -> Self {
        Self { meters, process, last: Mutex::default(), sampled: Mutex::default() }
    }

    pub(crate) fn meters(&self) -> &[(Meter, OwnedFd)] {
        &self.meters
    }

    /// Where there are no counters, the process that is looked at is another one.
    pub(crate) fn follow(&mut self, process: i32) {
        self.process = self.process.map(|_| process);
    }

    /// Usage until now; never less than it was before. The last known when the counters are gone.
    pub(crate) fn read(&self) -> Usage {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total_ns = None;
        let (mut user_ns, mut system_ns) = (0, 0);
        for (meter, _) in &self.meters {
            match meter {
                Meter::CpuTotalNs => {
                    total_ns = self.number(*meter);
                    (user_ns, system_ns) = self.sampled(total_ns.unwrap_or(0));
                }
                Meter::CpuUserNs | Meter::CpuSystemNs => {}
                Meter::CpuStat => {
                    let us = |name| self.field(Meter::CpuStat, name).unwrap_or(0);
                    total_ns = Some(us("usage_usec") * 1000);
                    (user_ns, system_ns) = (us("user_usec") * 1000, us("system_usec") * 1000);
                }
                Meter::PeakBytes => {
                    last.peak_bytes = last.peak_bytes.max(self.number(*meter).unwrap_or(0));
                }
                Meter::OomKills => {}
            }
        }
        if let Some(process) = self.process.filter(|_| total_ns.is_none()) {
            let sum = processes::below(process);
            (total_ns, user_ns, system_ns) = (Some(sum.cpu_ns), sum.user_ns, sum.system_ns);
            last.peak_bytes = last.peak_bytes.max(sum.peak_bytes);
        }
        if let Some(total_ns) = total_ns {
            (last.user_us, last.system_us) = split(total_ns / 1000, user_ns, system_ns, *last);
        }
        *last
    }

    /// What was read last.
    pub(crate) fn last(&self) -> Usage {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the kernel killed a process for memory.
    pub(crate) fn oom_killed(&self) -> bool {
        self.field(Meter::OomKills, "oom_kill").is_some_and(|kills| kills > 0)
    }

    /// User and system time by their own counters, at most a tick old.
    fn sampled(&self, total_ns: u64) -> (u64, u64) {
        let mut sampled = self.sampled.lock().unwrap_or_else(PoisonError::into_inner);
        if total_ns.saturating_sub(sampled.total_ns) >= TICK_NS || sampled.total_ns == 0 {
            let part = |meter| self.number(meter).unwrap_or(0);
            let (user_ns, system_ns) = (part(Meter::CpuUserNs), part(Meter::CpuSystemNs));
            *sampled = Sampled { user_ns, system_ns, total_ns };
        }
        (sampled.user_ns, sampled.system_ns)
    }

    fn number(&self, meter: Meter) -> Option<u64> {
        self.text(meter)?.trim().parse().ok()
    }

    fn field(&self, meter: Meter, name: &str) -> Option<u64> {
        self.text(meter)?.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    fn text(&self, meter: Meter) -> Option<String> {
        let (_, file) = self.meters.iter().find(|(kind, _)| *kind == meter)?;
        let mut bytes = [0; 1024];
        let length = pread(file, &mut bytes[..], 0).ok()?;
        std::str::from_utf8(&bytes[..length]).ok().map(str::to_owned)
    }
}

/// Divides an exact total by the ratio of two sampled parts, so that neither ever falls: the rule by which the kernel
/// itself adjusts a process's times.
fn split(total_us: u64, user: u64, system: u64, last: Usage) -> (u64, u64) {
    if total_us <= last.user_us + last.system_us {
        return (last.user_us, last.system_us);
    }
    let parts = u128::from(user) + u128::from(system);
    let share = (u128::from(total_us) * u128::from(system)).checked_div(parts).unwrap_or(0);
    let system_us = u64::try_from(share).unwrap_or(0).max(last.system_us);
    let user_us = total_us.saturating_sub(system_us).max(last.user_us);
    (user_us, total_us - user_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_by_ratio_and_never_falls() {
        let last = |user_us, system_us| Usage { user_us, system_us, peak_bytes: 0 };
        let cases = [
            ((100, 0, 0, last(0, 0)), (100, 0)),
            ((100, 3, 1, last(0, 0)), (75, 25)),
            ((100, 1, 3, last(40, 40)), (40, 60)),
            ((100, 3, 1, last(10, 80)), (20, 80)),
            ((50, 1, 1, last(60, 10)), (60, 10)),
            ((90, 1, 1, last(60, 10)), (60, 30)),
        ];
        for ((total, user, system, last), expected) in cases {
            assert_eq!(split(total, user, system, last), expected, "{total} {user}:{system} after {last:?}");
        }
    }
}
