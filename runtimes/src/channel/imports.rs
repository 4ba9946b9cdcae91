//! What an instance says of its imports. It is the function's own process that says so: all of it is bounded, and nothing
//! in it can move a terminal's cursor.

use bytes::{Buf, Bytes};
use model::{Import, limit};

const MOST: usize = limit("import-packages") as usize;
const NAME_BYTES: usize = limit("import-package-name") as usize;
const NUMBERS_BYTES: usize = 12;
/// Most bytes of a report.
pub(super) const MOST_BYTES: usize = MOST * (NUMBERS_BYTES + 1 + NAME_BYTES);

/// `None`: it is none.
pub(super) fn read(mut report: Bytes) -> Option<Vec<Import>> {
    let mut imports = Vec::new();
    while !report.is_empty() {
        let modules = report.try_get_u32_le().ok()?;
        let own_us = report.try_get_u32_le().ok()?.into();
        let total_us = report.try_get_u32_le().ok()?.into();
        let length = usize::from(report.try_get_u8().ok()?);
        if length > NAME_BYTES || report.len() < length || imports.len() == MOST {
            return None;
        }
        let name = report.split_to(length);
        let package = String::from_utf8_lossy(&name).replace(|c: char| c.is_control(), "\u{fffd}");
        imports.push(Import { package, modules, own_us, total_us });
    }
    Some(imports)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8]) -> Vec<u8> {
        let numbers = [[2, 0, 0, 0], [0, 1, 0, 0], [0, 2, 0, 0]].concat();
        [numbers, vec![u8::try_from(name.len()).unwrap()], name.to_vec()].concat()
    }

    #[test]
    fn reports_are_bounded_and_plain() {
        let import =
            |package: &str| Import { package: package.into(), modules: 2, own_us: 256, total_us: 512 };
        let long = [b'x'; NAME_BYTES + 1];
        let cases: [(Vec<u8>, Option<Vec<Import>>); 8] = [
            (vec![], Some(vec![])),
            (entry(b"boto3"), Some(vec![import("boto3")])),
            ([entry(b"."), entry("größe".as_bytes())].concat(), Some(vec![import("."), import("größe")])),
            (entry(b"\x1b[2J\xff"), Some(vec![import("\u{fffd}[2J\u{fffd}")])),
            (entry(b"boto3")[..15].to_vec(), None),
            (vec![0], None),
            (entry(&long), None),
            (entry(b"a").repeat(MOST + 1), None),
        ];
        for (report, expected) in cases {
            assert_eq!(read(Bytes::from(report.clone())), expected, "{report:?}");
        }
    }
}
