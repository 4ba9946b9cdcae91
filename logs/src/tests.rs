//! The service over real logs, behind real signatures.

use crate::Logs;
use access::policy::Context;
use access::{Access, Ask, Credentials, Keys, Permit, RequestFacts, RootKey, Scope, sign};
use model::Place;
use observe::{Observe, Settings};
use store::DataDir;
use wire::logs::{
    DescribeLogGroupsRequest, DescribeLogStreamsRequest, FilterLogEventsRequest, GetLogEventsRequest,
    Logs as _, OrderBy,
};
use world::World;

const HELLO: &str = "/aws/lambda/hello";

struct Stage {
    logs: Logs,
    root: Permit,
    /// Milliseconds at which the stage was set.
    now_ms: i64,
    _folder: tempfile::TempDir,
}

fn root(world: &World) -> Permit {
    let access = Access::new(Keys::fresh(RootKey::draw(world), world), Place::default(), world.clone());
    let key = access.root().clone();
    let credentials = Credentials { access_key: key.access_key, secret_key: key.secret_key, token: None };
    let request = http::Request::post("/").header("host", "127.0.0.1:4566").body(()).expect("a request");
    let mut parts = request.into_parts().0;
    sign(&mut parts, b"", &credentials, Scope { region: "us-east-1", service: "logs", now: world.now() })
        .expect("signs");
    let identity = access.identify(&parts, b"", "logs").expect("is identified");
    let context = Context::default();
    let ask = Ask { action: "logs:FilterLogEvents", resource: "*", policy: None, context: &context };
    access.authorize(identity, ask, RequestFacts::default()).expect("root may")
}

/// Two groups; `hello` has three streams of four lines each, one line a second.
fn stage() -> Stage {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = DataDir::open(folder.path()).expect("opens");
    let world = World::real();
    let observe = Observe::start(&data, Settings::default(), world.clone()).expect("starts");
    let start_us = world.now().0 / 1000 * 1000;
    for stream in 0..3_u64 {
        for line in 0..4_u64 {
            let stamp_us = start_us + (stream * 4 + line) * 1_000_000;
            let kind = if line == 3 { "ERROR" } else { "INFO" };
            observe.line(HELLO, &format!("s{stream}"), stamp_us, format!("{kind} line {line}").as_bytes());
        }
    }
    observe.line("/aws/lambda/other", "s", start_us, b"quiet");
    let now_ms = i64::try_from(start_us / 1000).expect("fits");
    Stage { logs: Logs::new(observe, Place::default()), root: root(&world), now_ms, _folder: folder }
}

#[tokio::test]
async fn groups_are_found_by_prefix_pattern_and_page() {
    let stage = stage();
    let names = async |request: DescribeLogGroupsRequest| {
        let answer = stage.logs.describe_log_groups(&stage.root, request).await.expect("answers");
        let groups = answer.log_groups.expect("a list");
        let names: Vec<String> = groups.into_iter().filter_map(|group| group.log_group_name).collect();
        (names, answer.next_token)
    };
    let request = DescribeLogGroupsRequest::default;
    let (all, token) = names(request()).await;
    assert_eq!((all.as_slice(), token), ([HELLO.to_owned(), "/aws/lambda/other".into()].as_slice(), None));
    let (first, token) = names(DescribeLogGroupsRequest { limit: Some(1), ..request() }).await;
    assert_eq!(first, [HELLO]);
    let (rest, token) =
        names(DescribeLogGroupsRequest { limit: Some(1), next_token: token, ..request() }).await;
    assert_eq!((rest.as_slice(), token), (["/aws/lambda/other".to_owned()].as_slice(), None));
    let prefix = Some("/aws/lambda/o".to_owned());
    let by_prefix = DescribeLogGroupsRequest { log_group_name_prefix: prefix.clone(), ..request() };
    assert_eq!(names(by_prefix).await.0, ["/aws/lambda/other"]);
    let pattern = Some("hell".to_owned());
    let by_pattern = DescribeLogGroupsRequest { log_group_name_pattern: pattern.clone(), ..request() };
    assert_eq!(names(by_pattern).await.0, [HELLO]);
    let both = DescribeLogGroupsRequest {
        log_group_name_prefix: prefix,
        log_group_name_pattern: pattern,
        ..request()
    };
    let error = stage.logs.describe_log_groups(&stage.root, both).await.expect_err("is refused");
    assert_eq!((error.status, &*error.code), (400, "InvalidParameterException"));
}

#[tokio::test]
async fn streams_come_in_the_order_asked_for() {
    let stage = stage();
    let by = |order_by, descending| DescribeLogStreamsRequest {
        log_group_name: Some(HELLO.into()),
        order_by,
        descending,
        ..DescribeLogStreamsRequest::default()
    };
    for (order, descending, wanted) in [
        (None, None, ["s0", "s1", "s2"]),
        (Some(OrderBy::LogStreamName), Some(true), ["s2", "s1", "s0"]),
        (Some(OrderBy::LastEventTime), None, ["s0", "s1", "s2"]),
        (Some(OrderBy::LastEventTime), Some(true), ["s2", "s1", "s0"]),
    ] {
        let answer =
            stage.logs.describe_log_streams(&stage.root, by(order, descending)).await.expect("answers");
        let streams = answer.log_streams.expect("a list");
        let names: Vec<&str> =
            streams.iter().filter_map(|stream| stream.log_stream_name.as_deref()).collect();
        assert_eq!(names, wanted, "{order:?} {descending:?}");
        let first =
            streams.iter().find(|stream| stream.log_stream_name.as_deref() == Some("s0")).expect("there");
        assert_eq!(first.first_event_timestamp, Some(stage.now_ms));
        assert_eq!(first.last_event_timestamp, Some(stage.now_ms + 3000));
    }
    let mixed = DescribeLogStreamsRequest {
        log_stream_name_prefix: Some("s".into()),
        ..by(Some(OrderBy::LastEventTime), None)
    };
    let error = stage.logs.describe_log_streams(&stage.root, mixed).await.expect_err("is refused");
    assert_eq!(&*error.code, "InvalidParameterException");
    let unknown = DescribeLogStreamsRequest { log_group_name: Some("/none".into()), ..by(None, None) };
    let error = stage.logs.describe_log_streams(&stage.root, unknown).await.expect_err("is refused");
    assert_eq!(
        (&*error.code, error.message.as_str()),
        ("ResourceNotFoundException", "The specified log group does not exist.")
    );
}

#[tokio::test]
async fn one_stream_is_read_in_pages() {
    let stage = stage();
    let request = GetLogEventsRequest {
        log_group_identifier: Some(Place::default().log_group_arn(HELLO)),
        log_stream_name: "s1".into(),
        start_from_head: Some(true),
        limit: Some(3),
        ..GetLogEventsRequest::default()
    };
    let mut seen = Vec::new();
    let mut token = None;
    for _ in 0..5 {
        let request = GetLogEventsRequest { next_token: token.clone(), ..request.clone() };
        let page = stage.logs.get_log_events(&stage.root, request).await.expect("answers");
        seen.extend(page.events.expect("a list").into_iter().filter_map(|event| event.message));
        if token == page.next_forward_token {
            break;
        }
        token = page.next_forward_token;
    }
    assert_eq!(seen, ["INFO line 0", "INFO line 1", "INFO line 2", "ERROR line 3"]);
    let end = GetLogEventsRequest {
        log_stream_name: "s1".into(),
        start_time: Some(stage.now_ms + 5000),
        end_time: Some(stage.now_ms + 7000),
        ..request
    };
    let page = stage.logs.get_log_events(&stage.root, end).await.expect("answers");
    let times: Vec<i64> =
        page.events.expect("a list").into_iter().filter_map(|event| event.timestamp).collect();
    assert_eq!(times, [stage.now_ms + 5000, stage.now_ms + 6000], "the end is left out");
}

#[tokio::test]
async fn a_group_is_searched() {
    let stage = stage();
    let search = async |change: fn(&mut FilterLogEventsRequest, i64)| {
        let mut request = FilterLogEventsRequest {
            log_group_name: Some(HELLO.into()),
            ..FilterLogEventsRequest::default()
        };
        change(&mut request, stage.now_ms);
        let answer = stage.logs.filter_log_events(&stage.root, request).await?;
        let events = answer.events.expect("a list");
        Ok::<_, wire::Error>(events.into_iter().filter_map(|event| event.log_stream_name).collect::<Vec<_>>())
    };
    assert_eq!(search(|_, _| ()).await.expect("answers").len(), 12);
    let errors = search(|request, _| request.filter_pattern = Some("ERROR".into())).await;
    assert_eq!(errors.expect("answers"), ["s0", "s1", "s2"]);
    let one = search(|request, _| request.log_stream_names = Some(vec!["s1".into()])).await;
    assert_eq!(one.expect("answers"), ["s1"; 4]);
    let span = search(|request, now_ms| {
        request.start_time = Some(now_ms + 3000);
        request.end_time = Some(now_ms + 4000);
    });
    assert_eq!(span.await.expect("answers"), ["s0", "s1"], "the end is taken in");
    let both = search(|request, _| {
        request.log_stream_names = Some(vec!["s1".into()]);
        request.log_stream_name_prefix = Some("s".into());
    });
    assert_eq!(&*both.await.expect_err("is refused").code, "InvalidParameterException");
}
