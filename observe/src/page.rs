//! The first or the last of many things that come in any order, as many as fit on a page.

use std::collections::BTreeMap;

/// A page's contents, as AWS bounds them.
const PAGE_MAX_BYTES: usize = 1024 * 1024;

/// Which end of the order is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    First,
    Last,
}

/// Keeps what is nearest to the wanted end: never more than fits, and never with a gap.
#[derive(Debug)]
pub(crate) struct Page<K, V> {
    end: End,
    limit: usize,
    bytes: usize,
    kept: BTreeMap<K, (V, usize)>,
    /// The nearest that did not fit; nothing beyond it may be kept.
    barrier: Option<K>,
}

impl<K: Ord + Copy, V> Page<K, V> {
    pub(crate) fn new(end: End, limit: usize) -> Self {
        Self { end, limit: limit.max(1), bytes: 0, kept: BTreeMap::new(), barrier: None }
    }

    /// Whether something at `key` could still be kept.
    pub(crate) fn wants(&self, key: &K) -> bool {
        self.barrier.as_ref().is_none_or(|barrier| match self.end {
            End::First => key < barrier,
            End::Last => key > barrier,
        })
    }

    /// Takes a thing of `bytes` in, if it is near enough.
    pub(crate) fn offer(&mut self, key: K, bytes: usize, value: V) {
        if !self.wants(&key) {
            return;
        }
        self.bytes += bytes;
        self.kept.insert(key, (value, bytes));
        while self.kept.len() > self.limit || (self.bytes > PAGE_MAX_BYTES && self.kept.len() > 1) {
            let farthest = match self.end {
                End::First => self.kept.pop_last(),
                End::Last => self.kept.pop_first(),
            };
            let (key, (_, bytes)) = farthest.expect("there is more than one");
            self.bytes -= bytes;
            self.barrier = Some(key);
        }
    }

    /// Whether something was left out.
    pub(crate) fn has_more(&self) -> bool {
        self.barrier.is_some()
    }

    /// What was kept, in ascending order.
    pub(crate) fn into_kept(self) -> Vec<(K, V)> {
        self.kept.into_iter().map(|(key, (value, _))| (key, value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_page_is_a_gapless_end(
            things in prop::collection::btree_map(0u32..1000, 1usize..400_000, 0..40),
            order in any::<u64>(),
            limit in 1usize..20,
            first in any::<bool>(),
        ) {
            let end = if first { End::First } else { End::Last };
            let mut shuffled: Vec<_> = things.iter().map(|(k, v)| (*k, *v)).collect();
            shuffled.sort_by_key(|(key, _)| (u64::from(*key) ^ order).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut page = Page::new(end, limit);
            shuffled.iter().for_each(|(key, bytes)| page.offer(*key, *bytes, ()));

            let mut expected: Vec<u32> = things.keys().copied().collect();
            if !first {
                expected.reverse();
            }
            let mut bytes = 0;
            let fits = expected.iter().enumerate().take_while(|(index, key)| {
                bytes += things[key];
                *index == 0 || (*index < limit && bytes <= PAGE_MAX_BYTES)
            });
            let count = fits.count();
            prop_assert_eq!(page.has_more(), count < expected.len());
            expected.truncate(count);
            expected.sort_unstable();
            let kept: Vec<u32> = page.into_kept().into_iter().map(|(key, ())| key).collect();
            prop_assert_eq!(kept, expected);
        }
    }
}
