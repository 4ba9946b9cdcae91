//! One file per operation, or per closely tied group; this one only says which is where.

mod events;
mod groups;
mod streams;

use crate::Logs;
use access::Permit;
use wire::Error;
use wire::logs::*;

impl wire::logs::Logs for Logs {
    type Cx = Permit;

    async fn describe_log_groups(
        &self,
        _cx: &Permit,
        input: DescribeLogGroupsRequest,
    ) -> Result<DescribeLogGroupsResponse, Error> {
        Ok(groups::describe(self, input).await?)
    }

    async fn describe_log_streams(
        &self,
        _cx: &Permit,
        input: DescribeLogStreamsRequest,
    ) -> Result<DescribeLogStreamsResponse, Error> {
        Ok(streams::describe(self, input).await?)
    }

    async fn filter_log_events(
        &self,
        _cx: &Permit,
        input: FilterLogEventsRequest,
    ) -> Result<FilterLogEventsResponse, Error> {
        Ok(events::filter(self, input).await?)
    }

    async fn get_log_events(
        &self,
        _cx: &Permit,
        input: GetLogEventsRequest,
    ) -> Result<GetLogEventsResponse, Error> {
        Ok(events::get(self, input).await?)
    }
}
