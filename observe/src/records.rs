//! Invocation records: one JSON document each, in a group per function.

use crate::page::{End, Page};
use crate::token::Place;
use crate::{QueryError, RecordsQuery, Settings};
use model::{InvocationRecord, Rung};
use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard};
use store::{DataDir, Entry, SegmentLimits, Segments};
use world::World;

/// Records that are found by their id without reading a file.
const RECENT_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct Records {
    segments: Segments,
    recent: Mutex<VecDeque<InvocationRecord>>,
    settings: Settings,
    world: World,
}

impl Records {
    pub(crate) fn open(dir: &DataDir, settings: Settings, world: World) -> io::Result<Self> {
        let total_bytes = settings.total_bytes / 8;
        let segment_bytes = (total_bytes / 64).clamp(16 * 1024, 1024 * 1024);
        let limits = SegmentLimits { total_bytes, age: settings.age, segment_bytes };
        let segments = Segments::open(dir, "records", limits, world.clone())?;
        Ok(Self { segments, recent: Mutex::default(), settings, world })
    }

    pub(crate) fn append(&self, record: InvocationRecord) -> io::Result<()> {
        let bytes = serde_json::to_vec(&record)?;
        self.segments.append(&record.function, record.started_us, &bytes)?;
        let mut recent = self.recent();
        recent.truncate(RECENT_MAX - 1);
        recent.push_front(record);
        Ok(())
    }

    /// Answers how many were lost.
    pub(crate) fn flush(&self) -> u64 {
        let _ = self.segments.flush();
        self.segments.take_lost()
    }

    pub(crate) fn enforce(&self) {
        if let Err(error) = self.segments.enforce() {
            tracing::warn!(%error, "old invocation records could not be removed");
        }
    }

    /// The newest, newest first. Blocks.
    pub(crate) fn newest(&self, query: &RecordsQuery) -> Result<Vec<InvocationRecord>, QueryError> {
        let groups = match &query.function {
            Some(function) => vec![function.clone()],
            None => self.segments.groups().into_iter().map(|group| group.name).collect(),
        };
        let since_us = query.since_us.max(self.settings.oldest_us(&self.world));
        let mut page = Page::new(End::Last, query.limit);
        for (index, group) in groups.iter().enumerate() {
            for part in self.segments.parts(group, since_us, u64::MAX).unwrap_or_default().iter().rev() {
                if !page.wants(&(Place::last_at(part.last_us), usize::MAX)) {
                    continue;
                }
                let each = |entry: Entry<'_>| {
                    let key = (Place { stamp_us: entry.stamp_us, position: entry.position }, index);
                    if entry.stamp_us >= since_us
                        && page.wants(&key)
                        && let Ok(record) = serde_json::from_slice::<InvocationRecord>(entry.bytes)
                        && !(query.cold_only && record.rung == Rung::Idle)
                    {
                        page.offer(key, entry.bytes.len(), record);
                    }
                    true
                };
                part.read(each).map_err(QueryError::failed)?;
            }
        }
        Ok(page.into_kept().into_iter().rev().map(|(_, record)| record).collect())
    }

    /// The record of one call. Blocks where it is not a recent one.
    pub(crate) fn of(&self, request_id: &str) -> Result<Option<InvocationRecord>, QueryError> {
        if let Some(found) = self.recent().iter().find(|record| record.request_id == request_id) {
            return Ok(Some(found.clone()));
        }
        let oldest_us = self.settings.oldest_us(&self.world);
        let mut found = None;
        for group in self.segments.groups() {
            for part in self.segments.parts(&group.name, oldest_us, u64::MAX).unwrap_or_default().iter().rev()
            {
                let each = |entry: Entry<'_>| {
                    if holds(entry.bytes, request_id.as_bytes()) {
                        let record = serde_json::from_slice::<InvocationRecord>(entry.bytes).ok();
                        found = record.filter(|record| record.request_id == request_id);
                    }
                    found.is_none()
                };
                part.read(each).map_err(QueryError::failed)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<InvocationRecord>> {
        self.recent.lock().expect("no holder of this lock can panic")
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}
