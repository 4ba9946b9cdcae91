//! DescribeLogStreams.

use crate::{Logs, LogsError, cursor, rules};
use observe::{Stream, StreamOrder};
use wire::logs::{DescribeLogStreamsRequest, DescribeLogStreamsResponse, LogStream, OrderBy};

/// AWS never answers with more.
const PAGE: usize = 50;

pub(super) async fn describe(
    logs: &Logs,
    input: DescribeLogStreamsRequest,
) -> Result<DescribeLogStreamsResponse, LogsError> {
    let group = rules::group(input.log_group_name, input.log_group_identifier, &logs.place)?;
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    let order = match (input.order_by, input.descending.unwrap_or_default()) {
        (Some(OrderBy::LastEventTime), _) if !prefix.is_empty() => {
            return Err(LogsError::invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
        }
        (Some(OrderBy::LastEventTime), false) => StreamOrder::LastEvent,
        (Some(OrderBy::LastEventTime), true) => StreamOrder::LastEventDescending,
        (_, false) => StreamOrder::Name,
        (_, true) => StreamOrder::NameDescending,
    };
    let streams = logs.observe.streams(&group, &prefix, order).await?;
    let limit = rules::limit(input.limit, PAGE);
    let (streams, next_token) =
        cursor::page(streams, |stream| stream.name.clone(), input.next_token.as_deref(), limit)?;
    let arn = logs.place.log_group_arn(&group);
    let streams = streams.into_iter().map(|stream| shown(&arn, stream)).collect();
    Ok(DescribeLogStreamsResponse { log_streams: Some(streams), next_token })
}

fn shown(group_arn: &str, stream: Stream) -> LogStream {
    LogStream {
        arn: Some(format!("{group_arn}:log-stream:{}", stream.name)),
        creation_time: rules::millis(stream.created_us),
        first_event_timestamp: rules::millis(stream.first_event_us),
        last_event_timestamp: rules::millis(stream.last_event_us),
        last_ingestion_time: rules::millis(stream.last_event_us),
        stored_bytes: i64::try_from(stream.stored_bytes).ok(),
        log_stream_name: Some(stream.name),
        ..LogStream::default()
    }
}
