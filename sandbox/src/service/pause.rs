//! How long the launcher waits for something to do, and when it is calm enough to make things ahead.

/// Nothing is made ahead until nobody has wanted anything for so long.
const CALM_MS: i64 = 3;

/// How long to wait for events, for ever if not said; and whether something is made ahead when none comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) wait_ms: Option<i64>,
    pub(super) then_prepare: bool,
}

/// `patience_ms`: until something else is due. Only a wait for calm that was not cut short says that it is calm.
pub(super) fn pause(patience_ms: Option<i64>, preparing: bool) -> Pause {
    match patience_ms {
        Some(patience_ms) if !preparing || patience_ms < CALM_MS => {
            Pause { wait_ms: Some(patience_ms), then_prepare: false }
        }
        _ => Pause { wait_ms: preparing.then_some(CALM_MS), then_prepare: preparing },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_made_ahead_only_when_nobody_has_wanted_anything_for_a_while() {
        let check = |patience_ms, preparing, wait_ms, then_prepare| {
            let expected = Pause { wait_ms, then_prepare };
            assert_eq!(pause(patience_ms, preparing), expected, "{patience_ms:?} {preparing}");
        };
        check(None, false, None, false);
        check(None, true, Some(CALM_MS), true);
        check(Some(CALM_MS + 1), true, Some(CALM_MS), true);
        check(Some(CALM_MS + 1), false, Some(CALM_MS + 1), false);
        check(Some(CALM_MS - 1), true, Some(CALM_MS - 1), false);
    }
}
