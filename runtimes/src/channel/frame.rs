//! Frames on the socket between the platform and our bootstraps: `[u32 LE payload length][u8 kind][payload]`.
//!
//! | kind | direction | payload |
//! |---|---|---|
//! | 1 Invoke | to the instance | `[u32 LE header length][header JSON][event]` |
//! | 3 Cancel | to one whose calls end one by one (Python) | the id of a call that is given up: the instance ends it and answers with Error, unless it has answered |
//! | 2 Load | to one that waits to know its function | `{"env": {name: value}}` |
//! | 16 Ready | from it | what took long to import: any number of `[u32 LE modules][u32 LE own µs][u32 LE total µs][u8 name length][name]` |
//! | 17 InitError | from it | error JSON; the process ends after it |
//! | 18 Response | from it | `[u8 id length][id][body]` |
//! | 19 Error | from it | `[u8 id length][id][error JSON]` |
//! | 20 Log | from it | `[u64 LE microseconds since 1970][text]` |
//! | 21 LastError | from it | as Error; the process ends after it |

use super::{Event, imports};
use bytes::{Buf, Bytes, BytesMut};
use model::{Call, Import, limit};
use serde::Serialize;

/// Most bytes of an answer: AWS's 6 MiB and its 100 bytes of slack.
pub(crate) const ANSWER_BYTES: usize = limit("sync-payload") as usize + 100;
const LOG_BYTES: usize = limit("log-line-bytes") as usize;
const HEAD_BYTES: usize = 5;
/// What of an answer says whose it is, at most.
pub(crate) const ANSWER_HEAD_BYTES: usize = HEAD_BYTES + 1 + 255;
const COPIED_BYTES: usize = 1024;
const INVOKE: u8 = 1;
const LOAD: u8 = 2;
const CANCEL: u8 = 3;

/// One frame from an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// It has loaded the code; what took long to import.
    Ready(Vec<Import>),
    /// The error of a call, which is the last thing that it says.
    LastError { id: String, json: Bytes },
    /// Anything else means what it says, if it may come now.
    Said(Event),
}

/// What follows the event's frame header: everything of a call that is not the event.
#[derive(Serialize)]
struct Header<'a> {
    id: &'a str,
    deadline_ms: u64,
    arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_context: Option<&'a str>,
    /// The event is a request as `model::Exchange` reads it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    exchange: bool,
}

/// Everything of an Invoke frame that stands before the event.
pub(crate) fn invoke_head(call: &Call, deadline_ms: u64) -> Vec<u8> {
    let header = Header {
        id: &call.request_id,
        deadline_ms,
        arn: &call.invoked_arn,
        trace: call.trace.as_deref(),
        client_context: call.client_context.as_deref(),
        exchange: call.exchange,
    };
    let mut head = Vec::with_capacity(512);
    head.resize(HEAD_BYTES + 4, 0);
    serde_json::to_writer(&mut head, &header).expect("strings and numbers are always JSON");
    let header_bytes = u32::try_from(head.len() - HEAD_BYTES - 4).unwrap_or(u32::MAX);
    let payload_bytes = u32::try_from(head.len() - HEAD_BYTES + call.payload.len()).unwrap_or(u32::MAX);
    head[..4].copy_from_slice(&payload_bytes.to_le_bytes());
    head[4] = INVOKE;
    head[5..9].copy_from_slice(&header_bytes.to_le_bytes());
    head
}

/// A whole Cancel frame.
pub(crate) fn cancel(id: &str) -> Vec<u8> {
    let length = u32::try_from(id.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], &[CANCEL], id.as_bytes()].concat()
}

/// A whole Load frame.
pub(crate) fn load(content: &serde_json::Value) -> Vec<u8> {
    let payload = content.to_string();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_le_bytes().to_vec();
    frame.push(LOAD);
    frame.extend_from_slice(payload.as_bytes());
    frame
}

/// What the input holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// One frame; its bytes are gone from the input.
    Frame(Frame),
    /// Less than one frame. At least this many more bytes are needed.
    Partial(usize),
}

/// Takes one frame from the front of `input`.
///
/// # Errors
/// What the instance did wrong, before more than a frame's head of it is held in memory.
pub(crate) fn parse(input: &mut BytesMut) -> Result<Parsed, String> {
    let Some(head) = input.first_chunk::<HEAD_BYTES>() else {
        return Ok(Parsed::Partial(HEAD_BYTES - input.len()));
    };
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let kind = head[4];
    let most = most_bytes(kind).ok_or_else(|| format!("unknown frame kind {kind}"))?;
    if length > most {
        return Err(format!("frame of kind {kind} with {length} bytes; at most {most} are allowed"));
    }
    let missing = (HEAD_BYTES + length).saturating_sub(input.len());
    if missing > 0 {
        return Ok(Parsed::Partial(missing));
    }
    input.advance(HEAD_BYTES);
    let payload = take(input, length);
    read(kind, payload).map(Parsed::Frame).ok_or_else(|| format!("malformed frame of kind {kind}"))
}

/// The front of the input. A short one is copied, so that the input's memory can be used again.
fn take(input: &mut BytesMut, length: usize) -> Bytes {
    if length > COPIED_BYTES {
        return input.split_to(length).freeze();
    }
    let front = Bytes::copy_from_slice(&input[..length]);
    input.advance(length);
    front
}

/// An answer that `input` begins with: how long its frame is, and whose it is. `None`: it begins with something else, or
/// with less than that.
pub(crate) fn answer_ahead(input: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first()?;
    let (id_bytes, rest) = rest.split_first().filter(|_| matches!(kind, 18 | 19))?;
    let frame_bytes = HEAD_BYTES + u32::from_le_bytes(*length) as usize;
    Some((frame_bytes, rest.get(..usize::from(*id_bytes))?))
}

fn most_bytes(kind: u8) -> Option<usize> {
    match kind {
        16 => Some(imports::MOST_BYTES),
        17 => Some(ANSWER_BYTES),
        18 | 19 | 21 => Some(1 + 255 + ANSWER_BYTES),
        20 => Some(8 + LOG_BYTES),
        _ => None,
    }
}

fn read(kind: u8, mut payload: Bytes) -> Option<Frame> {
    match kind {
        16 => imports::read(payload).map(Frame::Ready),
        17 => Some(Frame::Said(Event::InitError(payload))),
        18 => named(payload).map(|(id, body)| Frame::Said(Event::Response { id, body })),
        19 => named(payload).map(|(id, json)| Frame::Said(Event::Error { id, json })),
        20 => {
            let stamp_us = payload.try_get_u64_le().ok()?;
            Some(Frame::Said(Event::Log { stamp_us, message: payload }))
        }
        _ => named(payload).map(|(id, json)| Frame::LastError { id, json }),
    }
}

fn named(mut payload: Bytes) -> Option<(String, Bytes)> {
    let length = usize::from(payload.try_get_u8().ok()?);
    if payload.len() < length {
        return None;
    }
    let id = String::from_utf8(payload.split_to(length).to_vec()).ok()?;
    Some((id, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
        bytes.push(kind);
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn frames_are_read_at_every_cut() {
        let whole = [frame(16, b""), frame(18, b"\x02idbody"), frame(20, b"\x01\0\0\0\0\0\0\0text")].concat();
        for cut in 0..=whole.len() {
            let mut input = BytesMut::new();
            let mut frames = Vec::new();
            for part in [&whole[..cut], &whole[cut..]] {
                input.extend_from_slice(part);
                while let Parsed::Frame(frame) = parse(&mut input).unwrap() {
                    frames.push(frame);
                }
            }
            let expected = [
                Frame::Ready(Vec::new()),
                Frame::Said(Event::Response { id: "id".into(), body: Bytes::from_static(b"body") }),
                Frame::Said(Event::Log { stamp_us: 1, message: Bytes::from_static(b"text") }),
            ];
            assert_eq!(frames, expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let too_large = u32::try_from(ANSWER_BYTES + 300).unwrap().to_le_bytes();
        let cases: &[(&[u8], &str)] = &[
            (&[0, 0, 0, 0, 1], "unknown frame kind 1"),
            (&[0, 0, 0, 0, 255], "unknown frame kind 255"),
            (&[1, 0, 0, 0, 16, 0], "malformed frame of kind 16"),
            (&[255, 255, 0, 0, 16, 0], "frame of kind 16 with 65535 bytes"),
            (&[too_large[0], too_large[1], too_large[2], too_large[3], 18], "frame of kind 18"),
            (&[0, 0, 0, 0, 18], "malformed frame of kind 18"),
            (&[2, 0, 0, 0, 19, 9, b'x'], "malformed frame of kind 19"),
            (&[2, 0, 0, 0, 21, 1, 0xff], "malformed frame of kind 21"),
            (&[1, 0, 0, 0, 20, 0], "malformed frame of kind 20"),
        ];
        for (bytes, expected) in cases {
            let error = parse(&mut BytesMut::from(*bytes)).expect_err(expected);
            assert!(error.starts_with(expected), "{error:?} for {expected:?}");
        }
    }

    #[test]
    fn an_invocation_says_what_it_knows() {
        let call = Call { request_id: "r".into(), payload: b"{}"[..].into(), ..Call::default() };
        let head = invoke_head(&call, 7);
        assert_eq!(head.len() - 5 + 2, usize::from(head[0]));
        assert_eq!(&head[9..], br#"{"id":"r","deadline_ms":7,"arn":""}"#);
    }
}
