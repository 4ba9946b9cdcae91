//! HTTP binding of the REST protocols: members in path, query string, headers, status line and payload. What is left
//! of a structure is one document in the body, in whatever format the protocol's codec knows.

use crate::codec::{Codec, Place, from_text, to_text, unescape};
use crate::{Error, Field, Kind, Location, Route, Shape, TimeFormat, Value};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use std::collections::HashMap;

/// Reads a request.
pub fn read(
    codec: &dyn Codec,
    route: &Route,
    shape: &'static Shape,
    (parts, body): (&Parts, &Bytes),
) -> Result<Value, Error> {
    let fields = shape.fields();
    let mut values = match fields.iter().any(|field| field.location == Location::Body) && !body.is_empty() {
        true => match codec.read(shape, body)? {
            Value::Struct(values) => values,
            _ => return Err(Error::serialization("The request body must hold a structure")),
        },
        false => vec![Value::Null; fields.len()],
    };
    let pairs = query_pairs(parts.uri.query().unwrap_or(""))?;
    for (field, value) in fields.iter().zip(&mut values) {
        match field.location {
            Location::Body | Location::Status => {}
            Location::Payload => *value = payload(codec, field.shape, body)?,
            Location::Label => *value = label(field, route)?,
            Location::Query => *value = query(field, &pairs)?,
            Location::QueryMap => *value = query_map(field, &pairs),
            Location::Header => *value = header(field, &parts.headers)?,
            Location::Headers => *value = headers(field, &parts.headers),
        }
    }
    Ok(Value::Struct(values))
}

/// Writes the members of a structure that are bound to headers.
pub fn write_headers(shape: &Shape, value: &Value, headers: &mut HeaderMap) {
    let Value::Struct(values) = value else { return };
    for (field, value) in shape.fields().iter().zip(values) {
        match (field.location, value) {
            (Location::Header, value) if !value.is_null() => {
                if let Some(text) = header_text(field.shape, value) {
                    insert(headers, field.wire, &text);
                }
            }
            (Location::Headers, Value::Map(entries)) => {
                for (key, value) in entries {
                    let name = format!("{}{key}", field.wire);
                    insert(headers, &name, value.as_str().unwrap_or_default());
                }
            }
            _ => {}
        }
    }
}

/// Writes an answer.
pub fn write(codec: &dyn Codec, status: u16, shape: &'static Shape, value: Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let mut status = status;
    write_headers(shape, &value, response.headers_mut());
    let fields = shape.fields();
    let (mut body, mut media_type) = match fields.iter().position(|field| field.location == Location::Payload)
    {
        None => (codec.write(shape, &value).into(), codec.media_type()),
        Some(_) => (Bytes::new(), ""),
    };
    let Value::Struct(values) = value else { return response };
    for (field, value) in fields.iter().zip(values) {
        match (field.location, value) {
            (Location::Status, Value::Int(code)) => status = u16::try_from(code).unwrap_or(status),
            (Location::Payload, Value::Blob(bytes)) => {
                let bare = field.media_type.is_empty();
                media_type = if bare { "application/octet-stream" } else { field.media_type };
                body = bytes;
            }
            (Location::Payload, Value::Str(text)) => (body, media_type) = (text.into(), "text/plain"),
            (Location::Payload, value) if !value.is_null() => {
                (body, media_type) = (codec.write(field.shape, &value).into(), codec.media_type());
            }
            _ => {}
        }
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    if status == StatusCode::NO_CONTENT {
        body = Bytes::new();
    }
    if !body.is_empty() && !response.headers().contains_key(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    *response.status_mut() = status;
    *response.body_mut() = body;
    response
}

fn payload(codec: &dyn Codec, shape: &'static Shape, body: &Bytes) -> Result<Value, Error> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    match shape.kind {
        Kind::Blob => Ok(Value::Blob(body.clone())),
        Kind::String => {
            let text = std::str::from_utf8(body);
            text.map(|text| Value::Str(text.into()))
                .map_err(|_| Error::serialization("The body is not UTF-8"))
        }
        _ => codec.read(shape, body),
    }
}

fn label(field: &Field, route: &Route) -> Result<Value, Error> {
    match route.labels.iter().find(|(name, _)| *name == field.wire) {
        Some((_, text)) => from_text(field.shape, text, Place::Elsewhere, field.name),
        None => Ok(Value::Null),
    }
}

fn query_pairs(query: &str) -> Result<Vec<(String, String)>, Error> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let read = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((unescape(key)?, unescape(value)?))
    };
    pairs.map(read).collect()
}

fn query(field: &Field, pairs: &[(String, String)]) -> Result<Value, Error> {
    let mut given = pairs.iter().filter(|(key, _)| key == field.wire).map(|(_, text)| text);
    if let Kind::List(item) = &field.shape.kind {
        let values: Vec<Value> = given
            .map(|text| from_text(item.shape, text, Place::Elsewhere, field.name))
            .collect::<Result<_, _>>()?;
        return Ok(if values.is_empty() { Value::Null } else { Value::List(values) });
    }
    given.next().map_or(Ok(Value::Null), |text| from_text(field.shape, text, Place::Elsewhere, field.name))
}

/// Every parameter, those that other members take included.
fn query_map(field: &Field, pairs: &[(String, String)]) -> Value {
    let Kind::Map(_, item) = &field.shape.kind else { return Value::Null };
    let lists = matches!(item.shape.kind, Kind::List(_));
    let mut entries: Vec<(String, Value)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (key, text) in pairs {
        let text = Value::Str(text.clone());
        match places.get(key.as_str()).map(|index| &mut entries[*index].1) {
            Some(Value::List(values)) => values.push(text),
            Some(_) => {}
            None => {
                places.insert(key, entries.len());
                entries.push((key.clone(), if lists { Value::List(vec![text]) } else { text }));
            }
        }
    }
    if entries.is_empty() { Value::Null } else { Value::Map(entries) }
}

fn header(field: &Field, headers: &HeaderMap) -> Result<Value, Error> {
    let mut lines = Vec::new();
    for line in headers.get_all(field.wire) {
        let line =
            line.to_str().map_err(|_| Error::serialization(format!("Header {} is not text", field.wire)))?;
        lines.push(line);
    }
    if lines.is_empty() {
        return Ok(Value::Null);
    }
    let Kind::List(item) = &field.shape.kind else {
        return from_text(field.shape, lines[0], Place::Header, field.name);
    };
    let parts = lines.iter().flat_map(|line| split(line, item.shape));
    parts
        .map(|part| from_text(item.shape, &part, Place::Header, field.name))
        .collect::<Result<_, _>>()
        .map(Value::List)
}

/// The elements of a header that holds a list. HTTP dates hold a comma of their own; text may be quoted.
fn split(line: &str, shape: &Shape) -> Vec<String> {
    if matches!(shape.kind, Kind::Timestamp(None | Some(TimeFormat::HttpDate))) {
        let parts: Vec<&str> = line.split(',').map(str::trim).collect();
        return parts.chunks(2).map(|pair| pair.join(", ")).collect();
    }
    let (mut parts, mut part, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for char in line.chars() {
        match char {
            _ if escaped => {
                part.push(char);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' if quoted || part.trim().is_empty() => quoted = !quoted,
            ',' if !quoted => parts.push(std::mem::take(&mut part).trim().to_owned()),
            _ => part.push(char),
        }
    }
    parts.push(part.trim().to_owned());
    if parts == [""] { Vec::new() } else { parts }
}

fn headers(field: &Field, headers: &HeaderMap) -> Value {
    let mut entries = Vec::new();
    for (name, value) in headers {
        let prefix = field.wire.len();
        let fits = name.as_str().get(..prefix).is_some_and(|head| head.eq_ignore_ascii_case(field.wire));
        if let (true, Ok(text)) = (fits, value.to_str()) {
            entries.push((name.as_str()[prefix..].to_owned(), Value::Str(text.to_owned())));
        }
    }
    if entries.is_empty() { Value::Null } else { Value::Map(entries) }
}

fn header_text(shape: &Shape, value: &Value) -> Option<String> {
    let (Kind::List(item), Value::List(values)) = (&shape.kind, value) else {
        return to_text(shape, value, Place::Header);
    };
    let quote = |text: String| match matches!(item.shape.kind, Kind::String) && text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        false => text,
    };
    let texts: Vec<String> =
        values.iter().filter_map(|value| to_text(item.shape, value, Place::Header)).map(quote).collect();
    if texts.is_empty() { None } else { Some(texts.join(", ")) }
}

/// A header that cannot be written, such as one with a line break, is left out rather than split in two.
fn insert(headers: &mut HeaderMap, name: &str, text: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(text)) {
        headers.insert(name, value);
    }
}
