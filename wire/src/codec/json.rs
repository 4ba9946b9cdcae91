//! JSON documents, for REST-JSON and JSON 1.0 and 1.1.

mod read;
mod write;

use super::Codec;
use crate::{Error, Shape, Value};

/// The JSON codec.
pub struct Json {
    /// The media type it answers with; the three JSON protocols differ in nothing else.
    pub media_type: &'static str,
}

impl Codec for Json {
    fn media_type(&self) -> &'static str {
        self.media_type
    }

    fn read(&self, shape: &'static Shape, document: &[u8]) -> Result<Value, Error> {
        read::document(shape, document)
    }

    fn write(&self, shape: &'static Shape, value: &Value) -> Vec<u8> {
        write::document(shape, value)
    }
}
