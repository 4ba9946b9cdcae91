//! As much of a class file as says whether it is a handler.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xcafe_babe;
/// `major_version` of Java 1.0 would be 44.
const VERSION_OFFSET: u16 = 44;
const INTERFACE: u16 = 0x0200;
const ABSTRACT: u16 = 0x0400;

/// What a class file says of its class.
#[derive(Debug, PartialEq, Eq)]
pub struct Class {
    /// Full name, with dots.
    pub name: String,
    /// The oldest Java that runs it.
    pub java: u16,
    /// Whether there can be objects of it.
    pub concrete: bool,
    /// Full names of the interfaces that it implements itself.
    pub interfaces: Vec<String>,
}

/// Reads from the front of some bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn short(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn word(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

impl Class {
    /// `None`: not a class file.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.word()? != MAGIC {
            return None;
        }
        reader.short()?;
        let java = reader.short()?.checked_sub(VERSION_OFFSET)?;
        let names = names(&mut reader)?;
        let flags = reader.short()?;
        let named = |index: u16| names.get(&index).map(|name| name.replace('/', "."));
        let name = named(reader.short()?)?;
        reader.short()?;
        let count = reader.short()?;
        let interfaces = (0..count).map(|_| named(reader.short()?)).collect::<Option<_>>()?;
        Some(Self { name, java, concrete: flags & (INTERFACE | ABSTRACT) == 0, interfaces })
    }
}

/// The names of classes in the constant pool, by index.
fn names(reader: &mut Reader<'_>) -> Option<BTreeMap<u16, String>> {
    let (mut texts, mut classes) = (BTreeMap::new(), Vec::new());
    let count = reader.short()?;
    let mut index = 1;
    while index < count {
        match reader.byte()? {
            1 => {
                let length = usize::from(reader.short()?);
                texts.insert(index, String::from_utf8_lossy(reader.take(length)?).into_owned());
            }
            7 => classes.push((index, reader.short()?)),
            8 | 16 | 19 | 20 => drop(reader.take(2)?),
            15 => drop(reader.take(3)?),
            3 | 4 | 9..=12 | 17 | 18 => drop(reader.take(4)?),
            5 | 6 => {
                reader.take(8)?;
                index += 1; // counts twice
            }
            _ => return None,
        }
        index += 1;
    }
    Some(classes.into_iter().filter_map(|(index, text)| Some((index, texts.get(&text)?.clone()))).collect())
}

/// A class file of a class that does nothing.
#[cfg(test)]
pub fn sample(name: &str, interfaces: &[&str], flags: u16, java: u16) -> Vec<u8> {
    let mut pool = Vec::new();
    let texts: Vec<&str> = [name, "java/lang/Object"].into_iter().chain(interfaces.iter().copied()).collect();
    let count = u16::try_from(texts.len()).expect("few");
    for (number, text) in (1..).zip(&texts) {
        pool.push(1);
        pool.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
        pool.extend(text.as_bytes());
        pool.push(7);
        pool.extend((2 * number - 1_u16).to_be_bytes());
    }
    let class = |number: u16| (2 * number).to_be_bytes();
    let mut bytes = MAGIC.to_be_bytes().to_vec();
    bytes.extend([[0, 0], (java + VERSION_OFFSET).to_be_bytes(), (2 * count + 1).to_be_bytes()].concat());
    bytes.extend(pool);
    bytes.extend([flags.to_be_bytes(), class(1), class(2), (count - 2).to_be_bytes()].concat());
    (3..=count).for_each(|number| bytes.extend(class(number)));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_read_and_nothing_else_is() {
        let handler = "com/amazonaws/services/lambda/runtime/RequestHandler";
        let bytes = sample("a/b/Hello", &["java/io/Serializable", handler], 0x21, 17);
        let class = Class::read(&bytes).expect("a class");
        let interfaces = vec![
            "java.io.Serializable".to_owned(),
            "com.amazonaws.services.lambda.runtime.RequestHandler".to_owned(),
        ];
        assert_eq!(class, Class { name: "a.b.Hello".into(), java: 17, concrete: true, interfaces });
        let cut = bytes.len() - 1;
        for bytes in [&bytes[..cut], &bytes[..9], b"PK\x03\x04", b""] {
            assert_eq!(Class::read(bytes), None);
        }
        let flags = |flags| Class::read(&sample("A", &[], flags, 21)).expect("a class").concrete;
        assert_eq!((flags(0x1), flags(0x401), flags(0x601)), (true, false, false));
    }
}
