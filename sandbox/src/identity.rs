//! Who sandboxes are on the host: a user of its own for each where the launcher is root, else the launcher's user.

use crate::base::{GROUP_ID, USER_ID};
use rustix::process::{Gid, Uid};
use std::collections::HashSet;
use std::fs;
use std::io;

/// Host user and group ids that only sandboxes have.
const FIRST: u32 = 700_000;
const COUNT: u32 = 65_536;

/// Blocks of ids that are tried until one overlaps with nobody's.
const BLOCKS: u32 = 64;

/// Host identities, each in use at most once.
pub(crate) struct Identities {
    supply: Supply,
}

enum Supply {
    /// Every sandbox is the launcher's own user.
    Own { user: u32, group: u32 },
    /// Every sandbox is someone of its own.
    Reserved { first: u32, next: u32, used: HashSet<u32> },
}

/// One sandbox's identity on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Identities {
    /// For a launcher that may map one id only: its own.
    pub(crate) fn own() -> Self {
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Self { supply: Supply::Own { user, group } }
    }

    /// For root.
    pub(crate) fn reserved() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let taken = taken(&read("/etc/passwd"), &[&read("/etc/subuid"), &read("/etc/subgid")]);
        let first = free_block(&taken);
        // Two launchers on one machine should not start with the same identities.
        let next = std::process::id() % 64 * (COUNT / 64);
        Self { supply: Supply::Reserved { first, next, used: HashSet::new() } }
    }

    /// Whether every sandbox has its own.
    pub(crate) fn distinct(&self) -> bool {
        matches!(self.supply, Supply::Reserved { .. })
    }

    /// An identity that no living sandbox has; the one that was free for longest.
    pub(crate) fn take(&mut self) -> io::Result<Identity> {
        match &mut self.supply {
            Supply::Own { user, group } => Ok(Identity { user: *user, group: *group }),
            Supply::Reserved { first, next, used } => {
                if used.len() >= COUNT as usize {
                    return Err(io::ErrorKind::QuotaExceeded.into());
                }
                while !used.insert(*next) {
                    *next = (*next + 1) % COUNT;
                }
                let id = *first + *next;
                *next = (*next + 1) % COUNT;
                Ok(Identity { user: id, group: id })
            }
        }
    }

    /// Gives an identity back once everything that had it is gone.
    pub(crate) fn give_back(&mut self, identity: Identity) {
        if let Supply::Reserved { first, used, .. } = &mut self.supply {
            used.remove(&(identity.user - *first));
        }
    }
}

impl Identity {
    /// Works with this as the effective user and group, so that what is made meanwhile belongs to it: the kernel
    /// counts what happens in a user namespace against whoever has made it, and one sandbox's inotify instances must
    /// not use up everybody's. The process must keep its capabilities across changes of user.
    pub(crate) fn wear<T>(self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let own = (rustix::process::geteuid(), rustix::process::getegid());
        let put_on = |user, group| -> io::Result<()> {
            rustix::thread::set_thread_res_gid(None, Some(group), None)?;
            Ok(rustix::thread::set_thread_res_uid(None, Some(user), None)?)
        };
        let done = put_on(Uid::from_raw(self.user), Gid::from_raw(self.group)).and_then(|()| work());
        put_on(own.0, own.1).expect("a process may return to its own user");
        done
    }

    /// Maps the one inside user of a new user namespace to this identity.
    pub(crate) fn map(self, process: i32) -> io::Result<()> {
        fs::write(format!("/proc/{process}/setgroups"), "deny")?;
        fs::write(format!("/proc/{process}/gid_map"), format!("{GROUP_ID} {} 1", self.group))?;
        fs::write(format!("/proc/{process}/uid_map"), format!("{USER_ID} {} 1", self.user))
    }
}

/// Ranges of ids, first and count, that somebody has: users of the machine and their subordinate ids.
fn taken(passwd: &str, subordinate: &[&str]) -> Vec<(u64, u64)> {
    let users = passwd.lines().filter_map(|line| Some((line.split(':').nth(2)?.parse().ok()?, 1)));
    let ranges = subordinate.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let mut fields = line.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    users.chain(ranges).collect()
}

fn free_block(taken: &[(u64, u64)]) -> u32 {
    let blocks = (0..BLOCKS).map(|block| FIRST + block * COUNT);
    let free = |first: &u32| {
        let (first, end) = (u64::from(*first), u64::from(*first + COUNT));
        taken.iter().all(|(start, count)| start + count <= first || *start >= end)
    };
    blocks.clone().find(free).unwrap_or(FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_clear_of_others() {
        let cases = [
            ("root:x:0:0::/:/bin/sh\n", "", FIRST),
            ("a:x:700001:1::/:/bin/sh\n", "", FIRST + COUNT),
            ("", "a:100000:65536\n", FIRST),
            ("", "a:690000:65536\nb:755536:65536\n", FIRST + 2 * COUNT),
            ("broken\n:::\n", "a:x:y\n", FIRST),
        ];
        for (passwd, subuid, expected) in cases {
            assert_eq!(free_block(&taken(passwd, &[subuid])), expected, "{passwd}{subuid}");
        }
    }

    #[test]
    fn no_two_living_are_the_same() {
        let mut identities =
            Identities { supply: Supply::Reserved { first: FIRST, next: COUNT - 2, used: HashSet::new() } };
        let all: Vec<_> = (0..4).map(|_| identities.take().unwrap()).collect();
        assert_eq!(all.iter().map(|i| i.user).collect::<HashSet<_>>().len(), 4);
        identities.give_back(all[0]);
        assert!(!all[1..].contains(&identities.take().unwrap()));
    }
}
