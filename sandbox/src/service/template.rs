//! A program that forks itself into sandboxes, as the launcher knows it. The other end is `entry/enter.rs`.

use super::lodging::Housing;
use super::tenant::Baggage;
use crate::base::{GROUP_ID, USER_ID};
use crate::channel;
use crate::identity::Identity;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What a template says when it may be forked. Anything else is why it may not.
const READY: &[u8] = b"ready";

/// A template in a sandbox of its own.
pub(super) struct Template {
    channel: OwnedFd,
    pub(super) identity: Identity,
    ready: bool,
    /// Until it is ready.
    pub(super) housing: Option<Housing>,
}

impl Template {
    pub(super) fn new(channel: OwnedFd, identity: Identity, housing: Housing) -> Self {
        Self { channel, identity, ready: false, housing: Some(housing) }
    }

    /// Where it says that it is ready, and is asked to fork.
    pub(super) fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// What it has said: that it can be forked, or why it cannot. `None` when there is nothing new. The launcher looks
    /// for itself at what the program may not know of: threads, children and connections that a fork cannot share. Who
    /// says it is who will be forked, and the kernel says who that is.
    pub(super) fn heard(&mut self, pid: i32) -> Option<Result<(), String>> {
        let (said, speaker) = match channel::receive_from(&self.channel) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Ok(Some((said, speaker))) => {
                (said, speaker.map_or(pid, |speaker| speaker.as_raw_nonzero().get()))
            }
            _ => return Some(Err("it ended while it was made".to_owned())),
        };
        if said != READY {
            return Some(Err(String::from_utf8_lossy(&said).into_owned()));
        }
        Some(match unshareable(pid, speaker) {
            Some(why) => Err(why),
            None => {
                self.ready = true;
                Ok(())
            }
        })
    }

    /// Asks for one child, which may be `processes` together with its own. `filter` is what the child adds to the filter that it inherits.
    pub(super) fn fork(
        &self,
        baggage: &Baggage<'_>,
        processes: u32,
        filter: &[libc::sock_filter],
    ) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(16 + 8 * filter.len());
        bytes.extend_from_slice(&USER_ID.to_le_bytes());
        bytes.extend_from_slice(&GROUP_ID.to_le_bytes());
        bytes.extend_from_slice(&u32::from(baggage.has_rules()).to_le_bytes());
        bytes.extend_from_slice(&processes.to_le_bytes());
        for instruction in filter {
            bytes.extend_from_slice(&instruction.code.to_le_bytes());
            bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
            bytes.extend_from_slice(&instruction.k.to_le_bytes());
        }
        channel::send(&self.channel, &bytes, &baggage.descriptors())
    }
}

/// What of a process its children could not share. Reading it as a host's process, not as the template says it. A program
/// that always has threads (Node) forks once by itself, so that its only child, which has one, is what is forked.
fn unshareable(pid: i32, speaker: i32) -> Option<String> {
    let mut started = children(pid);
    if speaker != pid {
        started.extend(children(speaker));
        let Some(own) = started.iter().position(|child| *child == speaker) else {
            return Some("another process than its own has spoken for it".to_owned());
        };
        started.swap_remove(own);
    }
    if !started.is_empty() {
        return Some("its code has started processes".to_owned());
    }
    let folder = Path::new("/proc").join(speaker.to_string());
    let threads = fs::read_dir(folder.join("task")).map_or(1, Iterator::count);
    if threads > 1 {
        return Some(format!("its code has started {} threads", threads - 1));
    }
    let sockets = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten().filter(|entry| {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        target.as_os_str().as_encoded_bytes().starts_with(b"socket:")
    });
    // One is the channel.
    match sockets.count() {
        0 | 1 => None,
        count => Some(format!("its code has opened {} connections", count - 1)),
    }
}

/// Living children of a process, of all of its threads.
fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}
