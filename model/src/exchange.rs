//! Requests and responses of HTTP as the platform hands them to a component that speaks HTTP itself, and back: bytes that
//! need no parser. Pure.
//!
//! `[u16 length][method or status][u32 length][target][header …][u16 0][body]`, where a header is
//! `[u16 length][name][u32 length][value]`. All numbers are little-endian.

/// A request or a response, read.
#[derive(Debug, PartialEq, Eq)]
pub struct Exchange<'a> {
    /// The method, or the status as a number.
    pub start: &'a str,
    /// Path and query; empty in a response.
    pub target: &'a str,
    /// In their order; a name may come several times.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// Where the body begins, which goes on until the end.
    pub body_at: usize,
}

/// A request or a response while it is written.
#[derive(Debug)]
pub struct ExchangeWriter(Vec<u8>);

impl ExchangeWriter {
    /// Begins one. `room`: bytes that headers and body will take, roughly.
    pub fn new(start: &str, target: &str, room: usize) -> Self {
        let mut bytes = Vec::with_capacity(start.len() + target.len() + room + 16);
        short(&mut bytes, start.as_bytes());
        long(&mut bytes, target.as_bytes());
        Self(bytes)
    }

    /// Adds a header. One without a name, or with one that no HTTP has, is left out.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        if !name.is_empty() && name.len() <= usize::from(u16::MAX) {
            short(&mut self.0, name.as_bytes());
            long(&mut self.0, value);
        }
    }

    /// Ends it with its body.
    pub fn body(self, body: &[u8]) -> Vec<u8> {
        let Self(mut bytes) = self;
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(body);
        bytes
    }
}

fn short(bytes: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&text[..usize::from(length)]);
}

fn long(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(text);
}

impl<'a> Exchange<'a> {
    /// Reads one; `None`: the bytes are something else.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let start = std::str::from_utf8(take_short(&mut rest)?).ok()?;
        let target = std::str::from_utf8(take_long(&mut rest)?).ok()?;
        let mut headers = Vec::with_capacity(16);
        loop {
            match take_short(&mut rest)? {
                [] => break,
                name => headers.push((std::str::from_utf8(name).ok()?, take_long(&mut rest)?)),
            }
        }
        Some(Self { start, target, headers, body_at: bytes.len() - rest.len() })
    }
}

fn take_short<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (text, after) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
    *rest = after;
    Some(text)
}

fn take_long<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (text, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut writer = ExchangeWriter::new("GET", "/a?b", 0);
        writer.header("x-one", b"1\xff");
        writer.header("", b"left out");
        writer.header("x-one", b"");
        writer.body(b"body")
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = written();
        let read = Exchange::read(&bytes).unwrap();
        assert_eq!((read.start, read.target), ("GET", "/a?b"));
        assert_eq!(read.headers, [("x-one", &b"1\xff"[..]), ("x-one", b"")]);
        assert_eq!(&bytes[read.body_at..], b"body");
        let empty = ExchangeWriter::new("", "", 0).body(b"");
        assert_eq!(Exchange::read(&empty).map(|read| read.body_at), Some(empty.len()));
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let bytes = written();
        let whole = bytes.len() - b"body".len();
        for end in 0..whole {
            assert_eq!(Exchange::read(&bytes[..end]), None, "cut at {end}");
        }
        for bad in
            [&b"\xff\xff"[..], b"\x01\0\xff\0\0\0\0\0\0", b"\0\0\xff\xff\xff\xff", b"{\"version\":\"2.0\"}"]
        {
            assert_eq!(Exchange::read(bad), None, "{bad:?}");
        }
    }
}
