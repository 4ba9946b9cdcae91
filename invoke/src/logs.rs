//! The log stream of one instance: lines out of bytes, platform lines around each call, a cap and a tail.
//!
//! What is printed between two calls (by processes that a handler left behind) goes to the same stream, after
//! the `END` of the one and before the `START` of the other: never into another call's tail. A line before it says so.

use crate::output::Pipe;
use crate::start::Journal;
use model::InvocationRecord;
use std::sync::Arc;
use world::{Stamp, World};

const LINE_MAX_BYTES: usize = model::limit("log-line-bytes") as usize;
const CALL_MAX_BYTES: usize = model::limit("log-invocation-bytes") as usize;
const TAIL_BYTES: usize = model::limit("tail-bytes") as usize;

/// A record may have waited so long inside the instance, in microseconds.
const CREDIBLE_US: u64 = 60_000_000;

/// Takes everything that one instance says and everything that the platform says about it.
pub(crate) struct Log {
    journal: Arc<dyn Journal>,
    world: World,
    group: String,
    stream: String,
    stdout: Line,
    stderr: Line,
    /// Bytes that may still be written before the next call begins or this one ends.
    left_bytes: usize,
    dropped_bytes: usize,
    tails: Vec<Tail>,
    /// A line that comes before the next one, whatever that is.
    owed: Option<(Stamp, String)>,
    /// The call that ended last, until something is printed after it or another begins.
    over: Option<String>,
}

/// The last bytes that a caller asked for.
#[derive(Debug)]
struct Tail {
    /// Only lines that name this call, where the instance serves several; `None`: all lines.
    of: Option<String>,
    bytes: Vec<u8>,
}

/// A line that has not ended yet.
#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    /// Bytes beyond the longest line, which are not kept.
    beyond: usize,
}

impl Log {
    pub(crate) fn new(journal: Arc<dyn Journal>, world: World, group: String, stream: String) -> Self {
        let (stdout, stderr) = (Line::default(), Line::default());
        // The tail is on during init: the call that has waited for it gets its last words.
        let tails = vec![Tail { of: None, bytes: Vec::new() }];
        Self {
            journal,
            world,
            group,
            stream,
            stdout,
            stderr,
            left_bytes: CALL_MAX_BYTES,
            dropped_bytes: 0,
            tails,
            owed: None,
            over: None,
        }
    }

    /// A call begins. `keep_tail`: what is in the tail is the init that the call waited for.
    pub(crate) fn begin(&mut self, tail: bool, keep_tail: bool) {
        self.close_span();
        self.over = None;
        let kept = self.tails.pop();
        if tail {
            let bytes = kept.filter(|_| keep_tail).map(|kept| kept.bytes).unwrap_or_default();
            self.tails.push(Tail { of: None, bytes });
        }
    }

    /// A call begins beside others. Nobody can tell whose a line is that does not name its call, so its tail has those
    /// lines that name it; and the init that it waited for, if `keep_tail`.
    pub(crate) fn begin_among(&mut self, id: &str, tail: bool, keep_tail: bool) {
        self.reopen();
        self.over = None;
        let init = self.tails.iter().position(|tail| tail.of.is_none());
        let init = init.map(|index| self.tails.swap_remove(index).bytes);
        if tail {
            let bytes = init.filter(|_| keep_tail).unwrap_or_default();
            self.tails.push(Tail { of: Some(id.into()), bytes });
        }
    }

    /// A call that is not told about ends.
    pub(crate) fn end(&mut self) {
        self.pay();
        self.tails.pop();
    }

    /// A call ends. Returns its tail.
    pub(crate) fn end_of(&mut self, id: &str) -> Option<Vec<u8>> {
        let index = self.tails.iter().position(|tail| tail.of.as_ref().is_none_or(|of| of == id))?;
        Some(self.tails.swap_remove(index).bytes)
    }

    /// This call has been told about, and no other runs: what is printed from now on is marked as late.
    pub(crate) fn is_over(&mut self, id: String) {
        self.over = Some(id);
    }

    /// Writes unfinished lines and the marker of what was dropped, and opens a new allowance.
    pub(crate) fn close_span(&mut self) {
        for pipe in [Pipe::Stdout, Pipe::Stderr] {
            let line = std::mem::take(self.line(pipe));
            if !line.bytes.is_empty() {
                self.write_counted(self.world.now().0, line);
            }
        }
        self.reopen();
    }

    /// Writes the marker of what was dropped, and opens a new allowance.
    fn reopen(&mut self) {
        if self.dropped_bytes > 0 {
            let dropped = self.dropped_bytes;
            self.platform(&format!(
                "[dayfly] {dropped} bytes of log output were dropped: one invocation may write {CALL_MAX_BYTES} bytes \
                 (limit log-invocation-bytes)"
            ));
        }
        self.left_bytes = CALL_MAX_BYTES;
        self.dropped_bytes = 0;
    }

    /// Bytes that the instance printed.
    pub(crate) fn printed(&mut self, pipe: Pipe, mut bytes: &[u8]) {
        let stamp_us = self.world.now().0;
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let line = self.line(pipe);
            line.extend(&bytes[..end]);
            let line = std::mem::take(line);
            self.write_counted(stamp_us, line);
            bytes = &bytes[end + 1..];
        }
        self.line(pipe).extend(bytes);
    }

    /// One whole record that the runtime sent, which may have several lines. Its time is the instance's word:
    /// taken as long as it can be true.
    pub(crate) fn record(&mut self, stamp_us: u64, message: &[u8]) {
        let now_us = self.world.now().0;
        let stamp_us = stamp_us.clamp(now_us.saturating_sub(CREDIBLE_US), now_us);
        let mut line = Line::default();
        line.extend(message);
        self.write_counted(stamp_us, line);
    }

    /// A line of the platform; not counted.
    pub(crate) fn platform(&mut self, message: &str) {
        self.platform_at(self.world.now(), message);
    }

    /// A line of the platform about something that happened a moment ago.
    pub(crate) fn platform_at(&mut self, stamp: Stamp, message: &str) {
        self.write(stamp.0, message.as_bytes());
    }

    /// A line of the platform that is written before the next line, or by [`Log::pay`]: never later than anything that
    /// it must precede, and not while somebody waits for an answer.
    pub(crate) fn owe(&mut self, stamp: Stamp, message: String) {
        self.pay();
        self.owed = Some((stamp, message));
    }

    pub(crate) fn owes(&self) -> bool {
        self.owed.is_some()
    }

    /// Writes the line that is owed.
    pub(crate) fn pay(&mut self) {
        if let Some((stamp, message)) = self.owed.take() {
            self.write(stamp.0, message.as_bytes());
        }
    }

    /// The record of a call, beside its lines.
    pub(crate) fn journal_record(&self, record: InvocationRecord) {
        self.journal.record(record);
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn now(&self) -> Stamp {
        self.world.now()
    }

    fn line(&mut self, pipe: Pipe) -> &mut Line {
        match pipe {
            Pipe::Stdout => &mut self.stdout,
            Pipe::Stderr => &mut self.stderr,
        }
    }

    fn write_counted(&mut self, stamp_us: u64, line: Line) {
        let size = line.bytes.len() + 1;
        if size > self.left_bytes {
            self.left_bytes = 0;
            self.dropped_bytes += size + line.beyond;
        } else {
            self.left_bytes -= size;
            if let Some(id) = self.over.take() {
                let late =
                    format!("[dayfly] printed after the end of RequestId: {id}, by what it left running:");
                self.write(stamp_us, late.as_bytes());
            }
            self.write(stamp_us, &line.bytes);
        }
    }

    fn write(&mut self, stamp_us: u64, message: &[u8]) {
        self.pay();
        self.journal.line(&self.group, &self.stream, stamp_us, message);
        for tail in &mut self.tails {
            tail.take(message);
        }
    }
}

impl Tail {
    fn take(&mut self, message: &[u8]) {
        if let Some(of) = &self.of
            && !String::from_utf8_lossy(message).contains(of)
        {
            return;
        }
        let start = message.len().saturating_sub(TAIL_BYTES);
        self.bytes.extend_from_slice(&message[start..]);
        self.bytes.push(b'\n');
        let over = self.bytes.len().saturating_sub(TAIL_BYTES);
        self.bytes.drain(..over);
    }
}

impl Line {
    /// Keeps one byte more than the longest line, so that the journal sees that it must cut.
    fn extend(&mut self, bytes: &[u8]) {
        let room = (LINE_MAX_BYTES + 1).saturating_sub(self.bytes.len());
        let kept = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.beyond += bytes.len() - kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Vec<u8>>>);

    impl Journal for Kept {
        fn line(&self, _: &str, _: &str, _: u64, message: &[u8]) {
            self.0.lock().unwrap().push(message.to_vec());
        }
        fn record(&self, _: InvocationRecord) {}
        fn throttled(&self, _: &str, _: &'static str) {}
    }

    fn log() -> (Log, Arc<Kept>) {
        let kept = Arc::new(Kept::default());
        let log = Log::new(kept.clone(), World::simulated(1), "g".into(), "s".into());
        (log, kept)
    }

    fn lines(kept: &Kept) -> Vec<String> {
        kept.0.lock().unwrap().iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect()
    }

    #[test]
    fn bytes_become_lines_and_the_pipes_do_not_mix() {
        let (mut log, kept) = log();
        log.printed(Pipe::Stdout, b"one\ntw");
        log.printed(Pipe::Stderr, b"err");
        log.printed(Pipe::Stdout, b"o\n\nlast");
        log.close_span();
        assert_eq!(lines(&kept), ["one", "two", "", "last", "err"]);
    }

    #[test]
    fn a_call_may_write_so_much() {
        let (mut log, kept) = log();
        log.begin(true, false);
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        for _ in 0..(CALL_MAX_BYTES / 1024 + 100) {
            log.printed(Pipe::Stdout, &line);
        }
        log.close_span();
        let written = lines(&kept);
        assert_eq!(written.len(), CALL_MAX_BYTES / 1024 + 1);
        assert!(
            written.last().unwrap().contains("102400 bytes of log output were dropped"),
            "{:?}",
            written.last()
        );
        assert_eq!(log.end_of("1").unwrap().len(), TAIL_BYTES);
        log.printed(Pipe::Stdout, b"the next one writes again\n");
        assert_eq!(lines(&kept).last().unwrap(), "the next one writes again");
    }

    #[test]
    fn what_is_printed_between_calls_is_marked_once() {
        let (mut log, kept) = log();
        log.begin(false, false);
        log.printed(Pipe::Stdout, b"in time\n");
        log.is_over("a".into());
        log.printed(Pipe::Stdout, b"late\nlater\nunfinis");
        log.begin(true, false);
        log.printed(Pipe::Stdout, b"of b\n");
        assert_eq!(log.end_of("b").as_deref(), Some(&b"of b\n"[..]));
        log.is_over("b".into());
        log.begin_among("c", false, false);
        log.printed(Pipe::Stdout, b"of c\n");
        let marker = "[dayfly] printed after the end of RequestId: a, by what it left running:";
        assert_eq!(lines(&kept), ["in time", marker, "late", "later", "unfinis", "of b", "of c"]);
    }

    #[test]
    fn a_record_cannot_lie_about_its_time() {
        #[derive(Default)]
        struct Stamps(Mutex<Vec<u64>>);
        impl Journal for Stamps {
            fn line(&self, _: &str, _: &str, stamp_us: u64, _: &[u8]) {
                self.0.lock().unwrap().push(stamp_us);
            }
            fn record(&self, _: InvocationRecord) {}
            fn throttled(&self, _: &str, _: &'static str) {}
        }
        let (stamps, world) = (Arc::new(Stamps::default()), World::simulated(1));
        let now = world.now().0;
        let mut log = Log::new(stamps.clone(), world, "g".into(), "s".into());
        for stamp in [0, now - CREDIBLE_US + 7, now - 7, now + 7, u64::MAX] {
            log.record(stamp, b"x");
        }
        assert_eq!(*stamps.0.lock().unwrap(), [now - CREDIBLE_US, now - CREDIBLE_US + 7, now - 7, now, now]);
    }

    #[test]
    fn an_owed_line_comes_before_all_others() {
        let (mut log, kept) = log();
        let now = log.now();
        log.owe(now, "START a".into());
        assert!(lines(&kept).is_empty() && log.owes());
        log.printed(Pipe::Stdout, b"unfinished");
        assert!(lines(&kept).is_empty());
        log.printed(Pipe::Stdout, b" line\n");
        log.owe(now, "START b".into());
        log.owe(now, "START c".into());
        log.pay();
        log.pay();
        assert_eq!(lines(&kept), ["START a", "unfinished line", "START b", "START c"]);
    }

    #[test]
    fn an_endless_line_is_bounded() {
        let (mut log, kept) = log();
        for _ in 0..100 {
            log.printed(Pipe::Stdout, &[b'x'; 65536]);
        }
        assert_eq!(log.stdout.bytes.len(), LINE_MAX_BYTES + 1);
        log.printed(Pipe::Stdout, b"\nshort\n");
        assert_eq!(lines(&kept)[1], "short");
    }

    #[test]
    fn a_tail_among_others_holds_what_names_its_call() {
        let (mut log, _) = log();
        log.printed(Pipe::Stdout, b"init\n");
        log.begin_among("a", true, true);
        log.begin_among("b", true, false);
        log.record(0, b"a: one");
        log.record(0, b"b: two");
        log.printed(Pipe::Stdout, b"whose?\n");
        assert_eq!(log.end_of("b").as_deref(), Some(&b"b: two\n"[..]));
        log.record(0, b"a: three");
        assert_eq!(log.end_of("a").as_deref(), Some(&b"init\na: one\na: three\n"[..]));
        assert_eq!(log.end_of("a"), None);
    }

    #[test]
    fn a_tail_holds_its_call_only() {
        let (mut log, _) = log();
        log.printed(Pipe::Stdout, b"init\n");
        log.begin(true, true);
        log.printed(Pipe::Stdout, b"first\n");
        log.close_span();
        assert_eq!(log.end_of("1").as_deref(), Some(&b"init\nfirst\n"[..]));
        log.printed(Pipe::Stdout, b"late, and unfinis");
        log.begin(true, false);
        log.printed(Pipe::Stdout, b"second\n");
        log.close_span();
        assert_eq!(log.end_of("1").as_deref(), Some(&b"second\n"[..]));
        log.begin(false, false);
        log.printed(Pipe::Stdout, b"third\n");
        assert_eq!(log.end_of("1"), None);
    }
}
