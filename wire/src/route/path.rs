//! Path templates as a tree of segments: a request is matched segment by segment, whatever the number of operations.

use crate::{Error, Operation};
use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use std::collections::HashMap;

/// The paths of one service.
#[derive(Debug, Default)]
pub struct Paths {
    root: Node,
}

/// An operation with its decoded labels.
pub type Found = (&'static Operation, Vec<(&'static str, String)>);

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<&'static str, Node>,
    label: Option<Box<Node>>,
    greedy: Option<Box<Node>>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    operation: &'static Operation,
    labels: Vec<&'static str>,
    /// Query parameters that the template fixes.
    fixed: Vec<(&'static str, Option<&'static str>)>,
}

enum Segment {
    Literal(&'static str),
    Label(&'static str),
    Greedy(&'static str),
}

impl Paths {
    /// Reads the templates of `operations`.
    pub fn of(operations: &'static [Operation]) -> Self {
        let mut paths = Self::default();
        for operation in operations {
            paths.root.insert(operation);
        }
        paths
    }

    /// The operation with this method, path and fixed query parameters. A trailing slash makes no difference.
    pub fn find(&self, method: &Method, uri: &Uri) -> Result<Option<Found>, Error> {
        let segments: Vec<&str> = segments(uri.path()).collect();
        let mut taken = Vec::new();
        let Some(row) = self.root.find(&segments, &mut taken, &Head { method, uri }) else {
            return Ok(None);
        };
        let decode = |(name, text): (&&'static str, &String)| {
            let text = percent_decode_str(text).decode_utf8();
            let text =
                text.map_err(|_| Error::serialization(format!("'{name}' in the path is not UTF-8")))?;
            Ok((*name, text.into_owned()))
        };
        let labels = row.labels.iter().zip(&taken).map(decode).collect::<Result<_, Error>>()?;
        Ok(Some((row.operation, labels)))
    }
}

struct Head<'r> {
    method: &'r Method,
    uri: &'r Uri,
}

impl Node {
    fn insert(&mut self, operation: &'static Operation) {
        let (path, query) = operation.path.split_once('?').unwrap_or((operation.path, ""));
        let mut node = self;
        let mut labels = Vec::new();
        for segment in segments(path).map(segment) {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text).or_default(),
                Segment::Label(name) => {
                    labels.push(name);
                    node.label.get_or_insert_default()
                }
                Segment::Greedy(name) => {
                    labels.push(name);
                    node.greedy.get_or_insert_default()
                }
            };
        }
        let fixed = query.split('&').filter(|pair| !pair.is_empty());
        let fixed = fixed.map(|pair| pair.split_once('=').map_or((pair, None), |(k, v)| (k, Some(v))));
        node.rows.push(Row { operation, labels, fixed: fixed.collect() });
        node.rows.sort_by_key(|row| std::cmp::Reverse(row.fixed.len()));
    }

    /// Literals before labels before greedy labels, which take as little as they can; `taken` holds the labels' text.
    fn find(&self, segments: &[&str], taken: &mut Vec<String>, head: &Head<'_>) -> Option<&Row> {
        let Some((first, rest)) = segments.split_first() else {
            return self.rows.iter().find(|row| row.takes(head));
        };
        if let Some(row) = self.literals.get(*first).and_then(|node| node.find(rest, taken, head)) {
            return Some(row);
        }
        let depth = taken.len();
        if let Some(label) = &self.label {
            taken.push((*first).to_owned());
            if let Some(row) = label.find(rest, taken, head) {
                return Some(row);
            }
            taken.truncate(depth);
        }
        let greedy = self.greedy.as_ref()?;
        for end in 1..=segments.len() {
            taken.push(segments[..end].join("/"));
            if let Some(row) = greedy.find(&segments[end..], taken, head) {
                return Some(row);
            }
            taken.truncate(depth);
        }
        None
    }
}

impl Row {
    fn takes(&self, head: &Head<'_>) -> bool {
        let query = head.uri.query().unwrap_or("");
        let given = |(key, value): &(&str, Option<&str>)| {
            query.split('&').any(|pair| match pair.split_once('=') {
                Some((k, v)) => k == *key && value.is_none_or(|value| v == value),
                None => pair == *key && value.is_none(),
            })
        };
        self.operation.method == head.method.as_str() && self.fixed.iter().all(given)
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').filter(move |_| !path.is_empty())
}

fn segment(text: &'static str) -> Segment {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        None => Segment::Literal(text),
        Some(name) => name.strip_suffix('+').map_or(Segment::Label(name), Segment::Greedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn row(name: &'static str, method: &'static str, path: &'static str) -> Operation {
        Operation::unserved(name, method, path, "")
    }

    static OPERATIONS: &[Operation] = &[
        row("List", "GET", "/things"),
        row("Find", "GET", "/things?find=One"),
        row("Get", "GET", "/things/{Name}"),
        row("Put", "PUT", "/things/{Name}"),
        row("Special", "GET", "/things/special"),
        row("Acl", "GET", "/files/{Key+}/acl"),
        row("File", "GET", "/files/{Key+}"),
        row("Root", "GET", "/"),
    ];

    fn check(method: &str, uri: &str, expected: Option<(&str, &[&str])>) {
        let paths = Paths::of(OPERATIONS);
        let found = paths.find(&method.parse().unwrap(), &uri.parse().unwrap()).unwrap();
        let found = found.map(|(operation, labels)| {
            (operation.name, labels.into_iter().map(|(_, text)| text).collect::<Vec<_>>())
        });
        let expected =
            expected.map(|(name, labels)| (name, labels.iter().map(ToString::to_string).collect()));
        assert_eq!(found, expected, "{method} {uri}");
    }

    #[test]
    fn templates() {
        check("GET", "/things", Some(("List", &[])));
        check("GET", "/things/", Some(("List", &[])));
        check("GET", "/things?find=One&x=1", Some(("Find", &[])));
        check("GET", "/things?find=Other", Some(("List", &[])));
        check("GET", "/things/a", Some(("Get", &["a"])));
        check("PUT", "/things/special", Some(("Put", &["special"])));
        check("GET", "/things/special", Some(("Special", &[])));
        check("GET", "/files/a/b/acl", Some(("Acl", &["a/b"])));
        check("GET", "/files/a/b", Some(("File", &["a/b"])));
        check("GET", "/", Some(("Root", &[])));
    }

    #[test]
    fn labels_are_decoded_once() {
        check("GET", "/things/a%2Fb", Some(("Get", &["a/b"])));
        check("GET", "/things/a%252Fb", Some(("Get", &["a%2Fb"])));
        check("GET", "/things/arn:aws:x:%3A", Some(("Get", &["arn:aws:x::"])));
        check("GET", "/things/a+b", Some(("Get", &["a+b"])));
    }

    #[test]
    fn what_is_not_there() {
        check("POST", "/things", None);
        check("GET", "/thing", None);
        check("GET", "/things/a/b", None);
        check("GET", "//things", None);
        check("GET", "/files", None);
    }

    #[test]
    fn a_label_that_is_not_utf8_is_refused() {
        let found = Paths::of(OPERATIONS).find(&Method::GET, &"/things/%FF".parse().unwrap());
        assert_eq!(found.unwrap_err().code, "SerializationException");
    }
}
