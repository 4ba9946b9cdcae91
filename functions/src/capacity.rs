//! What functions are promised: calls that are reserved, instances that are kept ready; and what must stay for others.

use crate::catalog::Entry;
use crate::rows::FunctionRow;
use crate::{Functions, FunctionsError};
use model::{FunctionName, LATEST, Version, VersionName, limit};
use std::sync::Arc;
use std::time::Duration;

const HANDOVER: Duration = Duration::from_secs(limit("provision-handover"));

/// What functions were promised, all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Promised {
    /// Calls at once.
    pub calls: u32,
    /// Mebibytes of instances that are kept ready.
    pub memory_mb: u64,
}

impl Promised {
    /// With what one more function was promised.
    pub(crate) fn with(self, entry: &Arc<Entry>) -> Self {
        Self {
            calls: self.calls.saturating_add(entry.row.reserved.unwrap_or(0)),
            memory_mb: self.memory_mb + entry.versions().map(|entry| held_mb(&entry.row)).sum::<u64>(),
        }
    }
}

/// Mebibytes of the instances that are kept ready for one version.
fn held_mb(row: &FunctionRow) -> u64 {
    u64::from(row.kept_ready()) * u64::from(row.config.memory_mb)
}

/// Whether `asked` calls may be reserved for a function that has `now` and `kept_ready` instances, where `others` are
/// reserved of the account's `total`. Giving back is always allowed.
pub(crate) fn may_reserve(
    total: u32,
    others: u32,
    now: Option<u32>,
    asked: u32,
    kept_ready: u32,
) -> Result<(), FunctionsError> {
    const LEAST: u64 = limit("unreserved-concurrency");
    let left = u64::from(total.saturating_sub(others)).saturating_sub(asked.into());
    if asked > now.unwrap_or(0) && left < LEAST {
        return Err(FunctionsError::Invalid(format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
             below its minimum value of [{LEAST}]."
        )));
    }
    if asked < kept_ready {
        return Err(FunctionsError::Invalid(format!(
            "Specified ReservedConcurrentExecutions for function should not be lower than function's total \
             provisioned concurrency [{kept_ready}]."
        )));
    }
    Ok(())
}

/// Whether `asked` instances may be kept ready for a function with this reservation, where so many calls of the account
/// are unreserved.
pub(crate) fn may_provision(
    asked: u32,
    reserved: Option<u32>,
    unreserved: u32,
) -> Result<(), FunctionsError> {
    let why = match reserved {
        Some(reserved) if asked > reserved => {
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
                .into()
        }
        None if asked > unreserved => format!(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency \
             [{unreserved}]."
        ),
        Some(_) | None => return Ok(()),
    };
    Err(FunctionsError::Invalid(why))
}

/// Whether instances of `asked_mb` together can be kept ready beside those of `others_mb`.
pub(crate) fn may_hold(memory_mb: u64, others_mb: u64, asked_mb: u64) -> Result<(), FunctionsError> {
    const LEFT: u64 = limit("unprovisioned-memory");
    let most = memory_mb * (100 - LEFT) / 100;
    if asked_mb == 0 || others_mb + asked_mb <= most {
        return Ok(());
    }
    Err(FunctionsError::Invalid(format!(
        "The provisioned instances of this function need {asked_mb} MB of memory, those of other functions {others_mb} \
         MB, and together they may hold {most} MB: instances have {memory_mb} MB (limit machine-memory; what lifts it: \
         dayfly up --memory-percent), of which {LEFT} percent stay unprovisioned (limit unprovisioned-memory)."
    )))
}

impl Functions {
    /// Calls at once that are not reserved, but for what `except` has reserved.
    pub(crate) fn unreserved(&self, except: Option<&FunctionName>) -> u32 {
        self.settings().concurrency.saturating_sub(self.catalog().promised(except).calls)
    }

    /// Whether the machine can keep so many instances of so much memory ready for a version.
    pub(crate) fn check_memory(
        &self,
        version: &VersionName,
        instances: u32,
        memory_mb: u32,
    ) -> Result<(), FunctionsError> {
        let now = self.catalog().get(&version.function);
        let now =
            now.as_ref().and_then(|entry| entry.at(&version.version)).map_or(0, |entry| held_mb(&entry.row));
        let others = self.catalog().promised(None).memory_mb - now;
        may_hold(self.settings().memory_mb, others, u64::from(instances) * u64::from(memory_mb))
    }

    /// Tells the engine what is reserved in all, where a function's reservation changed.
    pub(crate) fn reserve(&self, before: Option<&Version>, now: Option<&Version>) {
        let reserved = |version: Option<&Version>| version.and_then(|version| version.concurrency);
        if reserved(before) != reserved(now)
            && let Some(version) = now.or(before)
        {
            self.runner().reserve(version, self.catalog().promised(None).calls);
        }
    }

    /// Tells the engine which instances to keep ready, after a start of the platform.
    pub(crate) fn keep_promises(&self) {
        for entry in self.catalog().provisioned() {
            self.runner().promise(&entry.version, entry.row.kept_ready());
        }
    }

    /// Tells the engine which instances of a function to keep ready. Where those of a new revision take the place of
    /// others, waits for them as long as it is worth while: calls go to the old ones until then.
    pub(crate) async fn hand_over(&self, name: &FunctionName) -> Result<(), FunctionsError> {
        let rows = self.rows(name).await?.0;
        let Some(row) = rows.function else { return Ok(()) };
        let known = self.catalog().get(name);
        for (number, entry) in known.iter().flat_map(|known| &known.published) {
            let held = rows.versions.live.get(number);
            let count = held.and_then(|held| held.provisioned).map_or(0, |provisioned| provisioned.instances);
            if count != entry.row.kept_ready() {
                self.runner().promise(&entry.version, count);
            }
        }
        let before = known.as_ref().map_or(0, |known| known.row.kept_ready());
        if before == 0 && row.kept_ready() == 0 {
            return Ok(());
        }
        let version = self.version(name, LATEST, &row)?;
        match known.filter(|known| known.version.revision == version.revision) {
            Some(_) if before == row.kept_ready() => {}
            Some(known) => self.runner().promise(&known.version, row.kept_ready()),
            None => {
                let name = version.name();
                self.runner().promise(&Arc::new(version), row.kept_ready());
                self.runner().provisioned(&name, HANDOVER).await;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(answer: Result<(), FunctionsError>) -> String {
        answer.map_or_else(|error| error.to_string(), |()| "yes".into())
    }

    #[test]
    fn a_hundred_calls_stay_unreserved() {
        let least = "Specified ReservedConcurrentExecutions for function decreases account's \
                     UnreservedConcurrentExecution below its minimum value of [100].";
        let lower = "Specified ReservedConcurrentExecutions for function should not be lower than function's total \
                     provisioned concurrency [5].";
        for (total, others, now, asked, kept_ready, expected) in [
            (1000, 0, None, 0, 0, "yes"),
            (1000, 0, None, 900, 0, "yes"),
            (1000, 0, None, 901, 0, least),
            (1000, 500, None, 400, 0, "yes"),
            (1000, 500, None, 401, 0, least),
            (1000, 500, Some(401), 401, 0, "yes"),
            (1000, 950, Some(300), 200, 0, "yes"),
            (10, 0, None, 1, 0, least),
            (10, 0, None, 0, 0, "yes"),
            (1000, 0, None, 4, 5, lower),
            (1000, 0, None, 5, 5, "yes"),
        ] {
            let got = words(may_reserve(total, others, now, asked, kept_ready));
            assert_eq!(got, expected, "{total} {others} {now:?} {asked} {kept_ready}");
        }
    }

    #[test]
    fn instances_are_kept_within_calls_and_memory() {
        assert_eq!(words(may_provision(5, None, 5)), "yes");
        assert!(words(may_provision(6, None, 5)).contains("unreserved concurrency [5]"));
        assert_eq!(words(may_provision(6, Some(6), 0)), "yes");
        assert!(words(may_provision(7, Some(6), 900)).contains("reservedConcurrentExecution"));
        assert_eq!(words(may_hold(1000, 400, 500)), "yes");
        assert!(words(may_hold(1000, 401, 500)).contains("may hold 900 MB"));
        assert_eq!(words(may_hold(1000, 950, 0)), "yes");
    }
}
