//! DescribeLogGroups.

use crate::{Logs, LogsError, cursor, rules};
use observe::Group;
use wire::logs::{DescribeLogGroupsRequest, DescribeLogGroupsResponse, LogGroup, LogGroupClass};

/// AWS never answers with more.
const PAGE: usize = 50;

pub(super) async fn describe(
    logs: &Logs,
    input: DescribeLogGroupsRequest,
) -> Result<DescribeLogGroupsResponse, LogsError> {
    if input.include_linked_accounts == Some(true) {
        return Err(LogsError::Unsupported("includeLinkedAccounts"));
    }
    if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
        return Err(LogsError::invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let mut groups = logs.observe.groups(input.log_group_name_prefix.as_deref().unwrap_or_default()).await?;
    if let Some(pattern) = &input.log_group_name_pattern {
        groups.retain(|group| group.name.contains(pattern.as_str()));
    }
    if let Some(identifiers) = &input.log_group_identifiers {
        let named: Result<Vec<String>, LogsError> =
            identifiers.iter().map(|identifier| rules::identified(identifier, &logs.place)).collect();
        let named = named?;
        groups.retain(|group| named.contains(&group.name));
    }
    if input.log_group_class.is_some_and(|class| class != LogGroupClass::Standard) {
        groups.clear();
    }
    let limit = rules::limit(input.limit, PAGE);
    let (groups, next_token) =
        cursor::page(groups, |group| group.name.clone(), input.next_token.as_deref(), limit)?;
    let groups = groups.into_iter().map(|group| shown(logs, group)).collect();
    Ok(DescribeLogGroupsResponse { log_groups: Some(groups), next_token })
}

fn shown(logs: &Logs, group: Group) -> LogGroup {
    let arn = logs.place.log_group_arn(&group.name);
    LogGroup {
        creation_time: rules::millis(group.created_us),
        metric_filter_count: Some(0),
        arn: Some(format!("{arn}:*")),
        stored_bytes: i64::try_from(group.stored_bytes).ok(),
        log_group_class: Some(LogGroupClass::Standard),
        log_group_arn: Some(arn),
        log_group_name: Some(group.name),
        ..LogGroup::default()
    }
}
