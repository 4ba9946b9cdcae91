//! Document codecs: the body of a message, read and written by walking a schema table.
//!
//! A codec knows one document format and nothing of HTTP. `rest.rs` binds members to the other parts of an HTTP
//! message and hands the rest of the structure to whichever codec the protocol uses, so REST-XML and CBOR take
//! their place here as further implementations of [`Codec`].

mod form;
mod json;
mod text;
mod xml;

use crate::{Error, Shape, Value};

pub use form::{Form, unescape};
pub use json::Json;
pub use text::{Place, from_text, to_text};
pub use xml::{Element, xml_members};

/// Most values that one request may hold. A document of tiny values would otherwise grow many times in memory.
const VALUES_MAX: usize = 1_000_000;

/// A document format.
pub trait Codec {
    /// The media type of a document.
    fn media_type(&self) -> &'static str;

    /// Reads a value of `shape`. Members of a structure that travel outside the body are left out.
    fn read(&self, shape: &'static Shape, document: &[u8]) -> Result<Value, Error>;

    /// Writes a value of `shape`. Members of a structure that travel outside the body are left out.
    fn write(&self, shape: &'static Shape, value: &Value) -> Vec<u8>;
}
