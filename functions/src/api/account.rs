//! GetAccountSettings.

use crate::Functions;
use model::limit;
use wire::lambda::{AccountLimit, AccountUsage, GetAccountSettingsResponse};

/// Limits that hold, and counts as they are. There is no limit on the size of all code but the disk.
pub(super) fn settings(functions: &Functions) -> GetAccountSettingsResponse {
    let whole = |value: u64| i64::try_from(value).ok();
    let concurrency = i32::try_from(functions.settings().concurrency).ok();
    let (count, code_bytes) = functions.catalog().totals();
    GetAccountSettingsResponse {
        account_limit: Some(AccountLimit {
            total_code_size: None,
            code_size_unzipped: whole(limit("unzipped-bytes")),
            code_size_zipped: whole(limit("zip-bytes")),
            concurrent_executions: concurrency,
            unreserved_concurrent_executions: i32::try_from(functions.unreserved(None)).ok(),
        }),
        account_usage: Some(AccountUsage {
            total_code_size: whole(code_bytes),
            function_count: whole(count as u64),
        }),
    }
}
