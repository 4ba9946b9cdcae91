//! Log events: written by one thread, read by many.

use crate::page::{End, Page};
use crate::pattern::Pattern;
use crate::token::{Place, Token};
use crate::{
    Event, EventsPage, EventsQuery, FilterPage, FilterQuery, Group, QueryError, Settings, Stream, StreamOrder,
};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use store::{DataDir, Entry, Part, Position, SegmentLimits, Segments};
use tokio::sync::broadcast;
use world::World;

/// Events that a slow live tail may lag behind before it misses some.
const LIVE_MAX: usize = 256;
/// Remembered facts about streams in finished parts.
const FACTS_MAX: usize = 20_000;
/// Longest name of a group or stream, as the service model says.
const NAME_MAX_BYTES: usize = 512;

#[derive(Debug)]
pub(crate) struct Logs {
    segments: Segments,
    live: broadcast::Sender<Arc<Event>>,
    summaries: Mutex<HashMap<(String, Position), Arc<Summary>>>,
    settings: Settings,
    world: World,
}

/// Which streams a part holds events of.
type Summary = BTreeMap<String, Facts>;

#[derive(Debug, Clone, Copy)]
struct Facts {
    first_us: u64,
    last_us: u64,
    bytes: u64,
}

/// Which events a query wants, before their text is looked at.
struct Window {
    from_us: u64,
    to_us: u64,
    after: Option<Place>,
    before: Option<Place>,
}

impl Window {
    fn holds(&self, place: Place) -> bool {
        (self.from_us..self.to_us).contains(&place.stamp_us)
            && self.after.is_none_or(|after| place > after)
            && self.before.is_none_or(|before| place < before)
    }

    fn touches(&self, part: &Part) -> bool {
        part.first_us < self.to_us
            && part.last_us >= self.from_us
            && self.after.is_none_or(|after| part.last_us >= after.stamp_us)
            && self.before.is_none_or(|before| part.first_us <= before.stamp_us)
    }
}

impl Logs {
    pub(crate) fn open(dir: &DataDir, settings: Settings, world: World) -> io::Result<Self> {
        let total_bytes = settings.total_bytes / 8 * 7;
        let segment_bytes = (total_bytes / 64).clamp(16 * 1024, 4 * 1024 * 1024);
        let limits = SegmentLimits { total_bytes, age: settings.age, segment_bytes };
        let segments = Segments::open(dir, "logs", limits, world.clone())?;
        let live = broadcast::Sender::new(LIVE_MAX);
        Ok(Self { segments, live, summaries: Mutex::default(), settings, world })
    }

    pub(crate) fn append(&self, group: &str, stream: &str, stamp_us: u64, message: &[u8]) -> io::Result<()> {
        let (group, stream) = (within(group), within(stream));
        let position = self.segments.append(group, stamp_us, &encode(stream, message))?;
        if self.live.receiver_count() > 0 {
            let place = Place { stamp_us, position };
            let _ = self.live.send(Arc::new(event(group, stream, place, message)));
        }
        Ok(())
    }

    /// Answers how many lines were lost.
    pub(crate) fn flush(&self) -> u64 {
        let _ = self.segments.flush();
        self.segments.take_lost()
    }

    pub(crate) fn enforce(&self) {
        if let Err(error) = self.segments.enforce() {
            tracing::warn!(%error, "old log events could not be removed");
        }
    }

    pub(crate) fn live(&self) -> broadcast::Receiver<Arc<Event>> {
        self.live.subscribe()
    }

    pub(crate) fn groups(&self, prefix: &str) -> Vec<Group> {
        let groups = self.segments.groups().into_iter().filter(|group| group.name.starts_with(prefix));
        groups.map(|g| Group { name: g.name, created_us: g.created_us, stored_bytes: g.bytes }).collect()
    }

    /// Blocks.
    pub(crate) fn delete(&self, group: &str) -> Result<(), QueryError> {
        let existed = self.segments.delete_group(group).map_err(QueryError::failed)?;
        self.summaries().retain(|(of, _), _| of != group);
        if existed { Ok(()) } else { Err(QueryError::UnknownGroup) }
    }

    /// Blocks.
    pub(crate) fn streams(
        &self,
        group: &str,
        prefix: &str,
        order: StreamOrder,
    ) -> Result<Vec<Stream>, QueryError> {
        let mut all = Summary::new();
        for part in self.parts(group)? {
            for (name, facts) in
                self.summary(group, &part)?.iter().filter(|(name, _)| name.starts_with(prefix))
            {
                all.entry(name.clone()).and_modify(|sum| sum.add(*facts)).or_insert(*facts);
            }
        }
        let mut streams: Vec<Stream> = all.into_iter().map(|(name, facts)| facts.stream(name)).collect();
        match order {
            StreamOrder::Name => {}
            StreamOrder::NameDescending => streams.reverse(),
            StreamOrder::LastEvent => streams.sort_by_key(|stream| stream.last_event_us),
            StreamOrder::LastEventDescending => {
                streams.sort_by_key(|stream| std::cmp::Reverse(stream.last_event_us));
            }
        }
        Ok(streams)
    }

    /// Blocks.
    pub(crate) fn events(&self, query: &EventsQuery) -> Result<EventsPage, QueryError> {
        let token = query.token.as_deref().map(Token::parse).transpose()?;
        let end = match token {
            Some(Token::Forward(_)) => End::First,
            Some(Token::Backward(_)) => End::Last,
            None if query.start_from_head => End::First,
            None => End::Last,
        };
        let window = self.window(query.from_us, query.to_us, token);
        let (mut page, mut known) = (Page::new(end, query.limit), false);
        let mut parts = self.parts(&query.group)?;
        if end == End::Last {
            parts.reverse();
        }
        for part in parts {
            let concerned = self.summary(&query.group, &part)?.contains_key(&query.stream);
            known |= concerned;
            if concerned && window.touches(&part) {
                collect(&mut page, &part, &query.group, &window, |stream, _| stream == query.stream)?;
            }
        }
        if !known {
            return Err(QueryError::UnknownStream);
        }
        let events = page.into_kept();
        let (forward, backward) = tokens(&events, token, query.from_us);
        Ok(EventsPage {
            events: events.into_iter().map(|(_, event)| event).collect(),
            forward: forward.to_string(),
            backward: backward.to_string(),
        })
    }

    /// Blocks.
    pub(crate) fn filter(&self, query: &FilterQuery) -> Result<FilterPage, QueryError> {
        let token = query.token.as_deref().map(Token::parse).transpose()?;
        if matches!(token, Some(Token::Backward(_))) {
            return Err(QueryError::InvalidToken);
        }
        let pattern = Pattern::parse(&query.pattern)?;
        let window = self.window(query.from_us, query.to_us, token);
        let wanted_stream = |name: &str| {
            name.starts_with(&query.stream_prefix)
                && (query.streams.is_empty() || query.streams.iter().any(|wanted| wanted == name))
        };
        let mut page = Page::new(End::First, query.limit);
        for part in self.parts(&query.group)? {
            if window.touches(&part) {
                let wanted = |stream: &str, message: &str| wanted_stream(stream) && pattern.matches(message);
                collect(&mut page, &part, &query.group, &window, wanted)?;
            }
        }
        let more = page.has_more();
        let events = page.into_kept();
        let last = events.last().filter(|_| more);
        let next = last.map(|(place, _)| Token::Forward(*place).to_string());
        Ok(FilterPage { events: events.into_iter().map(|(_, event)| event).collect(), next })
    }

    fn window(&self, from_us: u64, to_us: u64, token: Option<Token>) -> Window {
        let (after, before) = match token {
            Some(Token::Forward(place)) => (Some(place), None),
            Some(Token::Backward(place)) => (None, Some(place)),
            None => (None, None),
        };
        Window { from_us: from_us.max(self.settings.oldest_us(&self.world)), to_us, after, before }
    }

    /// Oldest first. What is past its age and not yet removed is left out.
    fn parts(&self, group: &str) -> Result<Vec<Part>, QueryError> {
        let oldest_us = self.settings.oldest_us(&self.world);
        self.segments.parts(group, oldest_us, u64::MAX).ok_or(QueryError::UnknownGroup)
    }

    fn summary(&self, group: &str, part: &Part) -> Result<Arc<Summary>, QueryError> {
        let key = (group.to_owned(), part.start());
        if let Some(known) = self.summaries().get(&key) {
            return Ok(Arc::clone(known));
        }
        let mut summary = Summary::new();
        let each = |entry: Entry<'_>| {
            if let Some((stream, message)) = decode(entry.bytes) {
                let facts = Facts::of(entry.stamp_us, message.len() as u64);
                match summary.get_mut(&*stream) {
                    Some(sum) => sum.add(facts),
                    None => drop(summary.insert(stream.into_owned(), facts)),
                }
            }
            true
        };
        part.read(each).map_err(QueryError::failed)?;
        let summary = Arc::new(summary);
        if part.is_finished() {
            let mut summaries = self.summaries();
            let facts: usize = summaries.values().map(|summary| summary.len() + 1).sum();
            if facts + summary.len() > FACTS_MAX {
                summaries.clear();
            }
            summaries.insert(key, Arc::clone(&summary));
        }
        Ok(summary)
    }

    fn summaries(&self) -> MutexGuard<'_, HashMap<(String, Position), Arc<Summary>>> {
        self.summaries.lock().expect("no holder of this lock can panic")
    }
}

impl Facts {
    fn of(stamp_us: u64, bytes: u64) -> Self {
        Self { first_us: stamp_us, last_us: stamp_us, bytes }
    }

    fn add(&mut self, other: Self) {
        self.first_us = self.first_us.min(other.first_us);
        self.last_us = self.last_us.max(other.last_us);
        self.bytes += other.bytes;
    }

    fn stream(self, name: String) -> Stream {
        let Self { first_us, last_us, bytes } = self;
        Stream {
            name,
            created_us: first_us,
            first_event_us: first_us,
            last_event_us: last_us,
            stored_bytes: bytes,
        }
    }
}

/// Offers a part's wanted events to a page.
fn collect(
    page: &mut Page<Place, Event>,
    part: &Part,
    group: &str,
    window: &Window,
    wanted: impl Fn(&str, &str) -> bool,
) -> Result<(), QueryError> {
    if !page.wants(&Place::first_at(part.first_us)) && !page.wants(&Place::last_at(part.last_us)) {
        return Ok(());
    }
    let each = |entry: Entry<'_>| {
        let place = Place { stamp_us: entry.stamp_us, position: entry.position };
        if window.holds(place)
            && page.wants(&place)
            && let Some((stream, message)) = decode(entry.bytes)
            && let text = String::from_utf8_lossy(message)
            && wanted(&stream, &text)
        {
            page.offer(place, text.len(), event(group, &stream, place, message));
        }
        true
    };
    part.read(each).map_err(QueryError::failed)
}

/// Where to go on from a page, in both directions. The token that was given comes back where nothing came.
fn tokens(events: &[(Place, Event)], given: Option<Token>, from_us: u64) -> (Token, Token) {
    let edge = match given {
        Some(Token::Forward(place) | Token::Backward(place)) => place,
        None => Place::first_at(from_us),
    };
    match (events.first(), events.last(), given) {
        (Some((first, _)), Some((last, _)), _) => (Token::Forward(*last), Token::Backward(*first)),
        (_, _, Some(Token::Forward(_))) => (Token::Forward(edge), Token::Backward(edge.next())),
        (_, _, Some(Token::Backward(_))) => (Token::Forward(edge.previous()), Token::Backward(edge)),
        (_, _, None) => (Token::Forward(edge), Token::Backward(edge)),
    }
}

fn event(group: &str, stream: &str, place: Place, message: &[u8]) -> Event {
    Event {
        id: format!("{:020}{:020}", place.stamp_us, place.position.0),
        group: group.into(),
        stream: stream.into(),
        stamp_us: place.stamp_us,
        message: String::from_utf8_lossy(message).into_owned(),
    }
}

/// The stream's name, its length before it, then the message: no byte of a message can end it early.
fn encode(stream: &str, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(stream.len()).expect("names are cut at 512 bytes");
    [&length.to_le_bytes()[..], stream.as_bytes(), message].concat()
}

fn decode(entry: &[u8]) -> Option<(std::borrow::Cow<'_, str>, &[u8])> {
    let (length, rest) = entry.split_first_chunk::<2>()?;
    let (stream, message) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    Some((String::from_utf8_lossy(stream), message))
}

fn within(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_MAX_BYTES)]
}
