//! GetLogEvents and FilterLogEvents. An event is taken in when it is written, so both of its times are the same.

use crate::{Logs, LogsError, rules};
use observe::{EventsQuery, FilterQuery};
use wire::logs::{
    FilterLogEventsRequest, FilterLogEventsResponse, FilteredLogEvent, GetLogEventsRequest,
    GetLogEventsResponse, OutputLogEvent,
};

/// AWS never answers with more.
const PAGE: usize = 10_000;

pub(super) async fn get(logs: &Logs, input: GetLogEventsRequest) -> Result<GetLogEventsResponse, LogsError> {
    let page = logs
        .observe
        .events(EventsQuery {
            group: rules::group(input.log_group_name, input.log_group_identifier, &logs.place)?,
            stream: input.log_stream_name,
            from_us: rules::from_us(input.start_time),
            to_us: rules::before_us(input.end_time),
            start_from_head: input.start_from_head.unwrap_or_default(),
            limit: rules::limit(input.limit, PAGE),
            token: input.next_token,
        })
        .await?;
    let events = page.events.into_iter().map(|event| OutputLogEvent {
        timestamp: rules::millis(event.stamp_us),
        ingestion_time: rules::millis(event.stamp_us),
        message: Some(event.message),
    });
    Ok(GetLogEventsResponse {
        events: Some(events.collect()),
        next_forward_token: Some(page.forward),
        next_backward_token: Some(page.backward),
    })
}

pub(super) async fn filter(
    logs: &Logs,
    input: FilterLogEventsRequest,
) -> Result<FilterLogEventsResponse, LogsError> {
    if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
        return Err(LogsError::invalid(
            "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.",
        ));
    }
    if input.start_from_head == Some(false) {
        return Err(LogsError::Unsupported("startFromHead false"));
    }
    let page = logs
        .observe
        .filter(FilterQuery {
            group: rules::group(input.log_group_name, input.log_group_identifier, &logs.place)?,
            streams: input.log_stream_names.unwrap_or_default(),
            stream_prefix: input.log_stream_name_prefix.unwrap_or_default(),
            from_us: rules::from_us(input.start_time),
            to_us: rules::through_us(input.end_time),
            pattern: input.filter_pattern.unwrap_or_default(),
            limit: rules::limit(input.limit, PAGE),
            token: input.next_token,
        })
        .await?;
    let events = page.events.into_iter().map(|event| FilteredLogEvent {
        log_stream_name: Some(event.stream),
        timestamp: rules::millis(event.stamp_us),
        ingestion_time: rules::millis(event.stamp_us),
        message: Some(event.message),
        event_id: Some(event.id),
    });
    Ok(FilterLogEventsResponse {
        events: Some(events.collect()),
        searched_log_streams: Some(Vec::new()),
        next_token: page.next,
    })
}
