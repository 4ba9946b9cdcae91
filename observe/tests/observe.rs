//! Logs and records through the public door: taking in, asking, limits, restarts.

use model::{InvocationRecord, Outcome, Phases, Rung, Usage};
use observe::{EventsQuery, FilterQuery, Observe, QueryError, RecordsQuery, Settings, StreamOrder};
use std::time::Duration;
use store::DataDir;
use tempfile::TempDir;
use world::World;

const GROUP: &str = "/aws/lambda/hello";
const STREAM: &str = "2026/11/23/[$LATEST]0123";

struct Subject {
    dir: TempDir,
    world: World,
    settings: Settings,
    observe: Option<Observe>,
}

impl Subject {
    fn new(settings: Settings) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let mut subject = Self { dir, world: World::simulated(1), settings, observe: None };
        subject.restart();
        subject
    }

    fn restart(&mut self) {
        self.observe = None;
        let dir = DataDir::open(self.dir.path()).expect("the directory opens");
        self.observe = Some(Observe::start(&dir, self.settings, self.world.clone()).expect("it starts"));
    }

    fn observe(&self) -> &Observe {
        self.observe.as_ref().expect("it runs")
    }

    fn now(&self) -> u64 {
        self.world.now().0
    }

    /// Line `n` comes at second `n` after the world's start.
    fn lines(&self, stream: &str, numbers: impl IntoIterator<Item = u64>) {
        for n in numbers {
            self.observe().line(GROUP, stream, self.now() + n * 1_000_000, format!("line {n}").as_bytes());
        }
    }
}

fn events(stream: &str, limit: usize) -> EventsQuery {
    EventsQuery {
        group: GROUP.into(),
        stream: stream.into(),
        from_us: 0,
        to_us: u64::MAX,
        start_from_head: true,
        limit,
        token: None,
    }
}

fn filter(pattern: &str, limit: usize) -> FilterQuery {
    FilterQuery {
        group: GROUP.into(),
        streams: vec![],
        stream_prefix: String::new(),
        from_us: 0,
        to_us: u64::MAX,
        pattern: pattern.into(),
        limit,
        token: None,
    }
}

fn texts(events: &[observe::Event]) -> Vec<&str> {
    events.iter().map(|event| event.message.as_str()).collect()
}

fn numbered(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("line {n}")).collect()
}

#[tokio::test]
async fn a_line_can_be_read_right_after_it_came() {
    let subject = Subject::new(Settings::default());
    for n in 0..20 {
        subject.lines(STREAM, [n]);
        let page = subject.observe().events(events(STREAM, 100)).await.expect("a page");
        assert_eq!(texts(&page.events), numbered(0..=n));
    }
}

#[tokio::test]
async fn pages_go_forward_and_backward_and_end_on_their_own_token() {
    let subject = Subject::new(Settings::default());
    subject.lines(STREAM, 0..10);
    subject.lines("other", 0..10);
    let ask = |query| subject.observe().events(query);

    let first = ask(events(STREAM, 4)).await.expect("a page");
    assert_eq!(texts(&first.events), numbered(0..4));
    let second = ask(EventsQuery { token: Some(first.forward), ..events(STREAM, 4) }).await.expect("a page");
    assert_eq!(texts(&second.events), numbered(4..8));
    let third = ask(EventsQuery { token: Some(second.forward), ..events(STREAM, 4) }).await.expect("a page");
    assert_eq!(texts(&third.events), numbered(8..10));
    let end =
        ask(EventsQuery { token: Some(third.forward.clone()), ..events(STREAM, 4) }).await.expect("a page");
    assert_eq!((texts(&end.events), &end.forward), (vec![], &third.forward));
    subject.lines(STREAM, [10]);
    let more = ask(EventsQuery { token: Some(end.forward), ..events(STREAM, 4) }).await.expect("a page");
    assert_eq!(texts(&more.events), numbered([10]));

    let back = ask(EventsQuery { token: Some(third.backward), ..events(STREAM, 4) }).await.expect("a page");
    assert_eq!(texts(&back.events), numbered(4..8));
    let turned = ask(EventsQuery { token: Some(end.backward), ..events(STREAM, 1) }).await.expect("a page");
    assert_eq!(texts(&turned.events), numbered([9]));

    let tail = EventsQuery { start_from_head: false, ..events(STREAM, 3) };
    let newest = ask(tail.clone()).await.expect("a page");
    assert_eq!(texts(&newest.events), numbered(8..11));
    let older = ask(EventsQuery { token: Some(newest.backward), ..tail.clone() }).await.expect("a page");
    assert_eq!(texts(&older.events), numbered(5..8));
    let oldest =
        ask(EventsQuery { token: Some(older.backward), limit: 100, ..tail.clone() }).await.expect("a page");
    assert_eq!(texts(&oldest.events), numbered(0..5));
    let start = ask(EventsQuery { token: Some(oldest.backward.clone()), ..tail }).await.expect("a page");
    assert_eq!((texts(&start.events), start.backward), (vec![], oldest.backward));
}

#[tokio::test]
async fn ranges_are_half_open_and_order_is_by_time() {
    let subject = Subject::new(Settings::default());
    subject.lines(STREAM, [3, 1, 2, 0]);
    let at = |n: u64| subject.now() + n * 1_000_000;
    let cases = [
        (0, u64::MAX, vec![0, 1, 2, 3]),
        (at(1), at(3), vec![1, 2]),
        (at(3), at(3), vec![]),
        (at(3) + 1, u64::MAX, vec![]),
    ];
    for (from_us, to_us, expected) in cases {
        let page = subject.observe().events(EventsQuery { from_us, to_us, ..events(STREAM, 10) }).await;
        assert_eq!(texts(&page.expect("a page").events), numbered(expected), "{from_us}..{to_us}");
    }
}

#[tokio::test]
async fn unknown_names_and_tokens_are_named() {
    let subject = Subject::new(Settings::default());
    let observe = subject.observe();
    assert_eq!(observe.events(events(STREAM, 1)).await, Err(QueryError::UnknownGroup));
    assert_eq!(observe.filter(filter("", 1)).await, Err(QueryError::UnknownGroup));
    assert_eq!(observe.streams(GROUP, "", StreamOrder::Name).await, Err(QueryError::UnknownGroup));
    assert_eq!(observe.delete_group(GROUP).await, Err(QueryError::UnknownGroup));
    subject.lines(STREAM, [0]);
    assert_eq!(observe.events(events("none", 1)).await, Err(QueryError::UnknownStream));
    let forged = Some("f/1/s".to_owned());
    assert_eq!(
        observe.events(EventsQuery { token: forged.clone(), ..events(STREAM, 1) }).await,
        Err(QueryError::InvalidToken)
    );
    assert_eq!(
        observe.filter(FilterQuery { token: forged, ..filter("", 1) }).await,
        Err(QueryError::InvalidToken)
    );
    assert!(matches!(observe.filter(filter("[a, b]", 1)).await, Err(QueryError::InvalidPattern(_))));
}

#[tokio::test]
async fn filters_search_streams_and_text_in_pages() {
    let subject = Subject::new(Settings::default());
    subject.lines("a/1", (0..20).step_by(2));
    subject.lines("a/2", (1..20).step_by(2));
    subject.lines("b", 20..25);
    let observe = subject.observe();
    let cases = [
        (filter("", 100), (0..25).collect::<Vec<_>>()),
        (filter("\"line 1\"", 100), [1].into_iter().chain(10..20).collect()),
        (filter("line -1", 100), [0].into_iter().chain(2..10).chain([20, 22, 23, 24]).collect()),
        (FilterQuery { stream_prefix: "a/".into(), ..filter("", 100) }, (0..20).collect()),
        (
            FilterQuery { streams: vec!["a/2".into(), "b".into()], ..filter("?2 ?5", 100) },
            vec![5, 15, 20, 21, 22, 23, 24],
        ),
        (FilterQuery { streams: vec!["none".into()], ..filter("", 100) }, vec![]),
    ];
    for (query, expected) in cases {
        let page = observe.filter(query.clone()).await.expect("a page");
        assert_eq!(texts(&page.events), numbered(expected), "{query:?}");
        assert_eq!(page.next, None);
    }
    let (mut query, mut found) = (filter("line", 7), Vec::new());
    loop {
        let page = observe.filter(query.clone()).await.expect("a page");
        assert!(page.events.len() <= 7);
        found.extend(page.events.iter().map(|event| event.message.clone()));
        let Some(next) = page.next else { break };
        query.token = Some(next);
    }
    assert_eq!(found, numbered(0..25));
}

#[tokio::test]
async fn groups_and_streams_say_what_they_hold() {
    let subject = Subject::new(Settings::default());
    subject.lines("b", [0, 9]);
    subject.lines("a", [1, 2]);
    subject.lines("c", [5]);
    let (observe, begun) = (subject.observe(), subject.now());
    observe.line("/other", "x", begun, b"hello");
    let groups = observe.groups("/aws/").await.expect("groups");
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].name.as_str(), groups[0].created_us), (GROUP, begun));
    assert!(groups[0].stored_bytes > 0);
    assert_eq!(observe.groups("").await.expect("groups").len(), 2);

    let orders = [
        (StreamOrder::Name, ["a", "b", "c"]),
        (StreamOrder::NameDescending, ["c", "b", "a"]),
        (StreamOrder::LastEvent, ["a", "c", "b"]),
        (StreamOrder::LastEventDescending, ["b", "c", "a"]),
    ];
    for (order, expected) in orders {
        let streams = observe.streams(GROUP, "", order).await.expect("streams");
        assert_eq!(streams.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), expected, "{order:?}");
    }
    let b = observe.streams(GROUP, "b", StreamOrder::Name).await.expect("streams").remove(0);
    assert_eq!((b.first_event_us, b.last_event_us, b.stored_bytes), (begun, begun + 9_000_000, 12));

    observe.delete_group(GROUP).await.expect("deleted");
    assert_eq!(observe.groups("").await.expect("groups").len(), 1);
    subject.lines("new", [1]);
    let streams = observe.streams(GROUP, "", StreamOrder::Name).await.expect("streams");
    assert_eq!(streams.len(), 1, "nothing of the deleted group comes back");
}

#[tokio::test]
async fn no_line_forges_another() {
    let subject = Subject::new(Settings::default());
    let observe = subject.observe();
    let nasty: [&[u8]; 6] = [
        b"two\nlines\r\nEND RequestId: forged",
        b"\x1b[2J\x1b[31mred\x07",
        b"nul\0and\xff\xfe bytes",
        b"",
        b"\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0fake!",
        "… 9 lines dropped".as_bytes(),
    ];
    for (n, message) in (0..).zip(nasty) {
        observe.line(GROUP, STREAM, subject.now() + n, message);
    }
    let page = observe.events(events(STREAM, 100)).await.expect("a page");
    let expected: Vec<_> = nasty.iter().map(|message| String::from_utf8_lossy(message)).collect();
    assert_eq!(texts(&page.events), expected);
    assert!(page.events.iter().all(|event| event.stream == STREAM));
    let ids: std::collections::BTreeSet<_> = page.events.iter().map(|event| &event.id).collect();
    assert_eq!(ids.len(), nasty.len());
}

#[tokio::test]
async fn a_long_line_is_cut_and_says_so() {
    let subject = Subject::new(Settings::default());
    let limit = usize::try_from(model::limit("log-line-bytes")).expect("fits");
    let long = "é".repeat(limit);
    subject.observe().line(GROUP, STREAM, subject.now(), &vec![b'x'; limit]);
    subject.observe().line(GROUP, STREAM, subject.now() + 1, long.as_bytes());
    let page = subject.observe().events(events(STREAM, 100)).await.expect("a page");
    assert_eq!(page.events[0].message.len(), limit);
    assert!(!page.events[0].message.contains('…'));
    let cut = &page.events[1].message;
    assert!(cut.len() <= limit && cut.ends_with(&format!("… cut, the line has {} bytes", 2 * limit)));
    assert!(!cut.contains('\u{fffd}'), "no character is cut in half");
}

#[tokio::test]
async fn a_page_ends_at_one_mebibyte_without_a_gap() {
    let subject = Subject::new(Settings::default());
    let message = vec![b'x'; 200 * 1024];
    (0..12).for_each(|n| subject.observe().line(GROUP, STREAM, subject.now() + n, &message));
    let (mut query, mut pages) = (events(STREAM, 10_000), Vec::new());
    loop {
        let page = subject.observe().events(query.clone()).await.expect("a page");
        if page.events.is_empty() {
            break;
        }
        pages.push(page.events.len());
        query.token = Some(page.forward);
    }
    assert_eq!(pages, [5, 5, 2]);
}

#[tokio::test]
async fn lines_beyond_the_queue_are_counted_in_their_stream() {
    let subject = Subject::new(Settings { queue_bytes: 20_000, ..Settings::default() });
    let sent = 5_000;
    subject.lines(STREAM, 0..sent);
    let page = subject.observe().events(events(STREAM, 10_000)).await.expect("a page");
    let dropped = page.events.iter().filter_map(|event| {
        event.message.strip_prefix("… ")?.strip_suffix(" lines dropped")?.parse::<u64>().ok()
    });
    let dropped: u64 = dropped.sum();
    let kept = page.events.iter().filter(|event| event.message.starts_with("line ")).count() as u64;
    assert!(dropped > 0, "a queue of 20 kB cannot hold {sent} lines");
    assert_eq!(kept + dropped, sent);
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let mut subject = Subject::new(Settings::default());
    subject.lines(STREAM, 0..100);
    subject.observe().record(record("hello", "id-1", subject.now()));
    let before = subject.observe().events(events(STREAM, 50)).await.expect("a page");
    let groups = subject.observe().groups("").await.expect("groups");
    subject.restart();
    assert_eq!(subject.observe().groups("").await.expect("groups"), groups);
    let after = subject.observe().events(events(STREAM, 50)).await.expect("a page");
    assert_eq!(after, before);
    subject.lines(STREAM, [100]);
    let rest = EventsQuery { token: Some(before.forward), ..events(STREAM, 1000) };
    let rest = subject.observe().events(rest).await.expect("a page");
    assert_eq!(texts(&rest.events), numbered(50..=100), "a token outlives the process that gave it");
    let found = subject.observe().record_by_id("id-1").await.expect("searched");
    assert_eq!(found.map(|record| record.function), Some("hello".into()));
}

#[tokio::test]
async fn old_lines_go_when_there_are_too_many() {
    let total_bytes = 2 * 1024 * 1024;
    let mut subject = Subject::new(Settings { total_bytes, ..Settings::default() });
    for n in 0..400 {
        let message = format!("line {n} {}", "x".repeat(10_000));
        subject.observe().line(GROUP, STREAM, subject.now() + n, message.as_bytes());
        if n % 50 == 0 {
            subject.observe().flush().await;
        }
    }
    for _ in 0..2 {
        let tail = EventsQuery { start_from_head: false, ..events(STREAM, 1) };
        let newest = subject.observe().events(tail).await.expect("a page");
        assert!(newest.events[0].message.starts_with("line 399 "));
        let oldest = subject.observe().events(events(STREAM, 1)).await.expect("a page");
        assert!(!oldest.events[0].message.starts_with("line 0 "), "the oldest are gone");
        let on_disk = bytes_below(subject.dir.path());
        assert!(on_disk <= total_bytes, "{on_disk} bytes are on disk");
        assert!(on_disk > total_bytes / 2, "no more is dropped than needed: {on_disk}");
        subject.restart();
    }
}

#[tokio::test]
async fn old_lines_go_when_their_time_is_over() {
    let age = Duration::from_secs(3600);
    let subject = Subject::new(Settings { age, ..Settings::default() });
    subject.lines("old", 0..10);
    subject.observe().record(record("hello", "old", subject.now()));
    subject.observe().flush().await;
    subject.world.advance(age / 2);
    subject.lines("new", 0..10);
    subject.world.advance(age / 2 + Duration::from_secs(60));
    let observe = subject.observe();
    let streams = observe.streams(GROUP, "", StreamOrder::Name).await.expect("streams");
    assert!(streams.iter().any(|stream| stream.name == "new"));
    let page = observe.filter(filter("", 100)).await.expect("a page");
    assert!(page.events.iter().all(|event| event.stream == "new"), "{page:?}");
    assert_eq!(page.events.len(), 10);
    assert_eq!(
        observe.records(RecordsQuery { limit: 10, ..RecordsQuery::default() }).await.expect("records"),
        vec![]
    );
    subject.world.advance(age);
    observe.line("/wakes/the/writer", "x", subject.now(), b"x");
    observe.flush().await;
    let streams = observe.streams(GROUP, "", StreamOrder::Name).await.expect("streams");
    assert_eq!(streams, vec![], "the files are gone, the group stays");
}

#[tokio::test]
async fn live_tails_hear_lines_as_they_come() {
    let subject = Subject::new(Settings::default());
    subject.lines(STREAM, [0]);
    subject.observe().flush().await;
    let mut live = subject.observe().subscribe();
    subject.lines(STREAM, [1, 2]);
    for n in [1, 2] {
        let event = tokio::time::timeout(Duration::from_secs(20), live.recv())
            .await
            .expect("soon")
            .expect("an event");
        assert_eq!((event.message.clone(), event.stream.as_str()), (format!("line {n}"), STREAM));
    }
    let listed = subject.observe().events(events(STREAM, 10)).await.expect("a page");
    assert_eq!(listed.events.len(), 3);
}

#[tokio::test]
async fn records_are_listed_newest_first_and_found_by_id() {
    let mut subject = Subject::new(Settings::default());
    let begun = subject.now();
    for n in 0..10 {
        let function = if n % 2 == 0 { "even" } else { "odd" };
        let rung = if n % 3 == 0 { Rung::Fork } else { Rung::Idle };
        subject
            .observe()
            .record(InvocationRecord { rung, ..record(function, &format!("id-{n}"), begun + n) });
    }
    for _ in 0..2 {
        let observe = subject.observe();
        let ids =
            |records: Vec<InvocationRecord>| records.into_iter().map(|r| r.request_id).collect::<Vec<_>>();
        let query = |function: Option<&str>, limit| RecordsQuery {
            function: function.map(Into::into),
            limit,
            ..RecordsQuery::default()
        };
        let cases: [(RecordsQuery, &[&str]); 7] = [
            (query(None, 3), &["id-9", "id-8", "id-7"]),
            (query(Some("odd"), 2), &["id-9", "id-7"]),
            (RecordsQuery { since_us: begun + 5, ..query(Some("even"), 10) }, &["id-8", "id-6"]),
            (query(Some("none"), 10), &[]),
            (RecordsQuery { since_us: begun + 10, ..query(None, 10) }, &[]),
            (RecordsQuery { cold_only: true, ..query(None, 10) }, &["id-9", "id-6", "id-3", "id-0"]),
            (RecordsQuery { cold_only: true, ..query(Some("even"), 1) }, &["id-6"]),
        ];
        for (query, expected) in cases {
            let found = observe.records(query.clone()).await.expect("records");
            assert_eq!(ids(found), expected, "{query:?}");
        }
        let one = observe.record_by_id("id-4").await.expect("searched").expect("found");
        assert_eq!(one, record("even", "id-4", begun + 4));
        for absent in ["id-", "even", "", "id-99"] {
            assert_eq!(observe.record_by_id(absent).await, Ok(None), "{absent:?}");
        }
        subject.restart();
    }
}

#[tokio::test]
async fn group_names_are_never_paths() {
    let subject = Subject::new(Settings::default());
    let names = ["../../escape", "/", "a/../b", "..", "", "a\0b", &"x".repeat(512)];
    for name in names {
        subject.observe().line(name, "../s", subject.now(), name.as_bytes());
    }
    for name in names {
        let query = EventsQuery { group: name.into(), ..events("../s", 10) };
        let page = subject.observe().events(query).await.expect("a page");
        assert_eq!(texts(&page.events), [name]);
    }
    let parent = subject.dir.path().parent().expect("a parent");
    assert!(!parent.join("escape").exists());
}

fn record(function: &str, request_id: &str, started_us: u64) -> InvocationRecord {
    InvocationRecord {
        request_id: request_id.into(),
        started_us,
        function: function.into(),
        version: "$LATEST".into(),
        instance: "i-1".into(),
        caller: "*".into(),
        outcome: Outcome::Success,
        error_type: None,
        rung: Rung::Idle,
        reason: "idle instance".into(),
        phases: Phases::default(),
        usage: Usage { user_us: 5, system_us: 6, peak_bytes: 7 },
        memory_mb: 128,
        billed_ms: 1,
        cost_nanodollars: 2,
        request_bytes: 3,
        response_bytes: 4,
        log_group: GROUP.into(),
        log_stream: STREAM.into(),
        imports: Vec::new(),
        isolation_level: Some(3),
    }
}

fn bytes_below(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| match entry.metadata().expect("metadata") {
            metadata if metadata.is_dir() => bytes_below(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}
