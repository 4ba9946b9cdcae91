//! Static schema tables: what the models say about each shape, in the form in which the codecs read it.
//!
//! One table per shape and no protocol code: a codec walks a [`Shape`] and a [`Value`] side by side. Tables are
//! written by `cargo xtask codegen`; the builders below are `const` so that the tables are plain data.

/// A shape of a service model.
#[derive(Debug)]
pub struct Shape {
    /// The name in the model, such as `CreateFunctionRequest`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What a valid value must satisfy.
    pub limits: Limits,
    /// Values of this shape must not be shown in messages or logs.
    pub sensitive: bool,
}

/// What a shape is.
#[derive(Debug)]
pub enum Kind {
    /// Named members; see [`Structure`].
    Structure(Structure),
    /// A list of one shape.
    List(Item),
    /// A map from strings (the first item) to one shape (the second).
    Map(Item, Item),
    /// UTF-8 text.
    String,
    /// Text that holds JSON; travels base64-encoded in headers.
    JsonString,
    /// Bytes.
    Blob,
    /// `true` or `false`.
    Boolean,
    /// A signed whole number of 32 bits.
    Integer,
    /// A signed whole number of 64 bits.
    Long,
    /// A number of 32 bits.
    Float,
    /// A number of 64 bits.
    Double,
    /// A moment; the format, where the model fixes one.
    Timestamp(Option<TimeFormat>),
    /// Any JSON value.
    Document,
}

/// The members of a structure, and what it stands for.
#[derive(Debug)]
pub struct Structure {
    /// The members, in the model's order. [`crate::Value::Struct`] holds their values in the same order.
    pub fields: &'static [Field],
    /// Set where the structure is an error.
    pub error: Option<Fault>,
    /// At most one member is set.
    pub union: bool,
}

/// How an error shape is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The code, where it differs from the shape's name (query protocols).
    pub code: Option<&'static str>,
    /// HTTP status.
    pub status: u16,
    /// Whether the caller caused it; else the service did.
    pub sender: bool,
}

/// One member of a structure.
#[derive(Debug)]
pub struct Field {
    /// The member's name in the model.
    pub name: &'static str,
    /// Its name on the wire: JSON key, query parameter, header, XML element.
    pub wire: &'static str,
    /// Its shape.
    pub shape: &'static Shape,
    /// Where in the HTTP message it travels.
    pub location: Location,
    /// Must be present.
    pub required: bool,
    /// A list or map whose entries are repeated in place, without an element around them.
    pub flattened: bool,
    /// An XML attribute rather than an element.
    pub attribute: bool,
    /// The media type of a payload of bytes; empty: `application/octet-stream`.
    pub media_type: &'static str,
}

/// Where a member travels. All but `Body` exist in the REST protocols only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// A part of the document in the body.
    Body,
    /// The whole body.
    Payload,
    /// A path label.
    Label,
    /// A query parameter.
    Query,
    /// A map of all query parameters that no other member takes.
    QueryMap,
    /// A header.
    Header,
    /// A map of all headers with a prefix; the prefix is the member's wire name.
    Headers,
    /// The status line of the response.
    Status,
}

/// The element shape of a list or map.
#[derive(Debug)]
pub struct Item {
    /// The shape.
    pub shape: &'static Shape,
    /// The name on the wire in the XML and query protocols: `member`, `key`, `value` unless the model says else.
    pub wire: &'static str,
}

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    /// Seconds since 1970, as a number.
    Epoch,
    /// `2026-11-23T10:00:00Z`.
    Iso8601,
    /// `Mon, 23 Nov 2026 10:00:00 GMT`.
    HttpDate,
}

/// Constraints of the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Least value of a number; least length of text (characters), bytes, lists and maps.
    pub min: Option<f64>,
    /// Greatest value or length.
    pub max: Option<f64>,
    /// A regular expression that the whole text must match.
    pub pattern: Option<&'static str>,
    /// The only texts allowed; empty: any.
    pub choices: &'static [&'static str],
}

impl Limits {
    /// No constraint.
    pub const NONE: Self = Self { min: None, max: None, pattern: None, choices: &[] };
}

macro_rules! plain {
    ($($constant:ident $kind:expr, $doc:literal;)*) => {
        impl Shape {
            $(#[doc = $doc] pub const $constant: Shape = Shape::new(stringify!($constant), $kind);)*
        }
    };
}

plain! {
    STRING Kind::String, "Unconstrained text.";
    BLOB Kind::Blob, "Unconstrained bytes.";
    BOOLEAN Kind::Boolean, "A truth value.";
    INTEGER Kind::Integer, "An unconstrained 32-bit number.";
    LONG Kind::Long, "An unconstrained 64-bit number.";
    DOUBLE Kind::Double, "An unconstrained floating number.";
    TIMESTAMP Kind::Timestamp(None), "A moment in the protocol's own format.";
}

impl Shape {
    /// A shape without constraints.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, limits: Limits::NONE, sensitive: false }
    }

    /// A structure.
    pub const fn structure(name: &'static str, fields: &'static [Field]) -> Self {
        Self::new(name, Kind::Structure(Structure { fields, error: None, union: false }))
    }

    /// A structure of which at most one member is set.
    pub const fn union(name: &'static str, fields: &'static [Field]) -> Self {
        Self::new(name, Kind::Structure(Structure { fields, error: None, union: true }))
    }

    /// An error.
    pub const fn error(name: &'static str, fields: &'static [Field], fault: Fault) -> Self {
        Self::new(name, Kind::Structure(Structure { fields, error: Some(fault), union: false }))
    }

    /// A list whose elements are named `member`.
    pub const fn list(name: &'static str, element: &'static Shape) -> Self {
        Self::new(name, Kind::List(Item { shape: element, wire: "member" }))
    }

    /// A map whose entries hold `key` and `value`.
    pub const fn map(name: &'static str, key: &'static Shape, value: &'static Shape) -> Self {
        Self::new(name, Kind::Map(Item { shape: key, wire: "key" }, Item { shape: value, wire: "value" }))
    }

    /// The same shape with a least value or length.
    pub const fn min(mut self, min: f64) -> Self {
        self.limits.min = Some(min);
        self
    }

    /// The same shape with a greatest value or length.
    pub const fn max(mut self, max: f64) -> Self {
        self.limits.max = Some(max);
        self
    }

    /// The same shape with a pattern.
    pub const fn pattern(mut self, pattern: &'static str) -> Self {
        self.limits.pattern = Some(pattern);
        self
    }

    /// The same shape with a closed set of texts.
    pub const fn choices(mut self, choices: &'static [&'static str]) -> Self {
        self.limits.choices = choices;
        self
    }

    /// The same shape, not to be shown.
    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// The members of a structure; none for other kinds.
    pub fn fields(&self) -> &'static [Field] {
        match &self.kind {
            Kind::Structure(structure) => structure.fields,
            _ => &[],
        }
    }

    /// The position of the member `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields().iter().position(|field| field.name == name)
    }

    /// How this error is answered; `None` where the shape is no error.
    pub fn fault(&self) -> Option<Fault> {
        match &self.kind {
            Kind::Structure(structure) => structure.error,
            _ => None,
        }
    }
}

impl Field {
    /// An optional member of the body.
    pub const fn new(name: &'static str, shape: &'static Shape) -> Self {
        Self {
            name,
            wire: name,
            shape,
            location: Location::Body,
            required: false,
            flattened: false,
            attribute: false,
            media_type: "",
        }
    }

    /// The same member under another name on the wire.
    pub const fn wire(mut self, name: &'static str) -> Self {
        self.wire = name;
        self
    }

    /// The same member elsewhere in the message.
    pub const fn at(mut self, location: Location) -> Self {
        self.location = location;
        self
    }

    /// The same payload with a media type.
    pub const fn media(mut self, media_type: &'static str) -> Self {
        self.media_type = media_type;
        self
    }

    /// The same member, required.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same member, flattened.
    pub const fn flattened(mut self) -> Self {
        self.flattened = true;
        self
    }
}

impl Fault {
    /// An error that the caller caused.
    pub const fn sender(status: u16) -> Self {
        Self { code: None, status, sender: true }
    }

    /// An error of the service.
    pub const fn receiver(status: u16) -> Self {
        Self { code: None, status, sender: false }
    }

    /// The same error under a code that differs from the shape's name.
    pub const fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}
