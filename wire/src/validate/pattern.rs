//! The models' regular expressions, compiled on first use.

use fancy_regex::Regex;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, RwLock};

/// Address and length of a pattern; patterns stand in static tables, so their number is bounded.
type Key = (usize, usize);

static COMPILED: LazyLock<RwLock<HashMap<Key, Option<Arc<Regex>>>>> = LazyLock::new(RwLock::default);

/// Whether the whole of `text` matches. A pattern that cannot be compiled matches everything; a test keeps such
/// patterns out of the tables.
pub fn matches(pattern: &'static str, text: &str) -> bool {
    let key = (pattern.as_ptr() as usize, pattern.len());
    let known = COMPILED.read().unwrap_or_else(|poison| poison.into_inner()).get(&key).cloned();
    let regex = known.unwrap_or_else(|| {
        let regex = compile(pattern).ok().map(Arc::new);
        let mut compiled = COMPILED.write().unwrap_or_else(|poison| poison.into_inner());
        compiled.insert(key, regex.clone());
        regex
    });
    // An error is the matcher giving up on a text that makes it backtrack without end: such a text is no match.
    regex.is_none_or(|regex| regex.is_match(text).unwrap_or(false))
}

/// Whether a pattern of the models' dialect can be enforced.
pub fn pattern_compiles(pattern: &str) -> bool {
    compile(pattern).is_ok()
}

/// Compiles a pattern of the models' dialect, to match whole texts.
fn compile(pattern: &str) -> Result<Regex, fancy_regex::Error> {
    Regex::new(&format!(r"\A(?:{})\z", translate(pattern)))
}

/// The models write `\uXXXX` for code points, five or six digits where needed; here those are `\x{XXXX}`.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(start) = rest.find(r"\u") {
        let (head, tail) = rest.split_at(start);
        let digits = tail[2..].bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        out.push_str(head);
        out.push_str(&format!(r"\x{{{}}}", &tail[2..2 + digits]));
        rest = &tail[2 + digits..];
    }
    out.push_str(rest);
    out
}
