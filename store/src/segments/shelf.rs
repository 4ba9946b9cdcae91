//! All groups together: which of them have an open file, and how much they hold.
//!
//! There may be one for every function that was ever called, so nothing that is done for an entry looks at all of them.

use super::group::Group;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io;

/// Groups whose newest file is kept open.
const OPEN_MAX: usize = 64;
/// When there is too much, so large a part of what is allowed is dropped at once: looking for the oldest takes a look
/// at every group.
const DROPPED_PART: u64 = 64;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) groups: BTreeMap<String, Group>,
    /// Those with an open file, the one that has been open for longest first. No other has entries that wait.
    open: VecDeque<String>,
    /// What all of them take on disk.
    pub(super) bytes: u64,
    /// Entries that a full or failing disk did not take.
    pub(super) lost: u64,
}

impl Shelf {
    pub(super) fn put(&mut self, group: Group) {
        self.bytes += group.bytes();
        self.groups.insert(group.info().name, group);
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Group> {
        let group = self.groups.remove(name)?;
        self.bytes -= group.bytes();
        self.open.retain(|open| open != name);
        Some(group)
    }

    /// Does something with a group and takes note of what that did to its size.
    pub(super) fn change<T>(&mut self, name: &str, work: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let group = self.groups.get_mut(name)?;
        let before = group.bytes();
        let done = work(group);
        self.bytes = self.bytes - before + group.bytes();
        self.lost += group.take_lost();
        Some(done)
    }

    /// A group's file was opened; where there are too many, another's is closed.
    pub(super) fn note_open(&mut self, name: &str) {
        // It may have been closed by itself and opened again.
        self.open.retain(|open| open != name);
        self.open.push_back(name.to_owned());
        while self.open.len() > OPEN_MAX
            && let Some(longest) = self.open.pop_front()
        {
            self.change(&longest, Group::close);
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        let open = std::mem::take(&mut self.open);
        let done = open.iter().filter_map(|name| self.change(name, Group::flush)).fold(Ok(()), Result::and);
        self.open = open;
        done
    }

    /// Drops segments in which nothing is newer.
    pub(super) fn drop_older(&mut self, cutoff_us: u64) -> io::Result<()> {
        let old = |group: &Group| group.oldest_us().is_some_and(|newest_us| newest_us < cutoff_us);
        let concerned: Vec<String> =
            self.groups.iter().filter(|(_, group)| old(group)).map(|(name, _)| name.clone()).collect();
        let drop = |group: &mut Group| {
            while old(group) {
                group.drop_oldest()?;
            }
            Ok(())
        };
        let done = concerned.iter().filter_map(|name| self.change(name, drop)).fold(Ok(()), Result::and);
        self.forget_closed();
        done
    }

    /// Drops the oldest segments of all while they hold more than `most` bytes.
    pub(super) fn drop_excess(&mut self, most: u64) -> io::Result<()> {
        if self.bytes <= most {
            return Ok(());
        }
        let ages = self.groups.iter().filter_map(|(name, group)| Some((group.oldest_us()?, name.clone())));
        let mut oldest: BinaryHeap<_> = ages.map(Reverse).collect();
        let mut done = Ok(());
        while self.bytes > most - most / DROPPED_PART
            && let Some(Reverse((_, name))) = oldest.pop()
        {
            let dropped = self.change(&name, |group| (group.drop_oldest(), group.oldest_us()));
            let Some((dropped, next)) = dropped else { continue };
            done = done.and(dropped);
            oldest.extend(next.map(|next| Reverse((next, name))));
        }
        self.forget_closed();
        done
    }

    fn forget_closed(&mut self) {
        let groups = &self.groups;
        self.open.retain(|name| groups.get(name).is_some_and(Group::is_open));
    }
}
