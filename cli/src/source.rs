//! Reads program text without running it: which names does a module define?

/// How a language writes strings and comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// `#` comments, triple-quoted strings.
    Python,
    /// `//` and `/* */` comments, template strings.
    JavaScript,
}

/// The names that a Python module has at its top level, in order.
pub fn python_names(text: &str) -> Vec<String> {
    let blank = without_strings(text, Grammar::Python);
    let mut names = Vec::new();
    for line in blank.lines() {
        if line.starts_with([' ', '\t', ')', ']', '}', '@']) {
            continue;
        }
        let defined = line
            .strip_prefix("async def ")
            .or_else(|| line.strip_prefix("def "))
            .or_else(|| line.strip_prefix("class "));
        if let Some(rest) = defined {
            names.extend(identifier(rest));
        } else if let Some((_, imported)) = import_list(line) {
            names.extend(imported.split(',').filter_map(|item| item.split_whitespace().last()).map(clean));
        } else if let Some((left, _)) = line.split_once('=')
            && !left.ends_with(['!', '<', '>', '+', '-', '*', '/', '|', '&'])
        {
            let left = left.split(':').next().unwrap_or("").trim();
            names.extend(identifier(left).filter(|name| name == left));
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Whether a JavaScript module exports `name`, as far as its text shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It hands on what other modules export.
    Maybe,
}

/// Looks for `name` among a module's exports, ES or CommonJS.
pub fn exports(text: &str, name: &str) -> Export {
    let blank = without_strings(text, Grammar::JavaScript);
    if has_word_after(&blank, "exports.", name) {
        return Export::Yes;
    }
    let mut maybe =
        text.contains(&format!("exports['{name}']")) || text.contains(&format!("exports[\"{name}\"]"));
    if maybe {
        return Export::Yes;
    }
    for (at, _) in blank.match_indices("export") {
        let begins_word = !blank[..at].ends_with(|c: char| is_name(c) || c == '.');
        let rest = blank[at..].trim_start_matches("exports").trim_start_matches("export").trim_start();
        let is_module = blank[..at].ends_with("module.");
        if !begins_word && !is_module {
            continue;
        }
        let statement = match rest.trim_start_matches('=').trim_start() {
            block if block.starts_with('{') => block.split('}').next().unwrap_or(block),
            line => line.split(['\n', '=', '(']).next().unwrap_or(line),
        };
        if has_word_after(statement, "", name) {
            return Export::Yes;
        }
        maybe |= rest.starts_with('*')
            || (is_module && !rest.trim_start_matches('=').trim_start().starts_with('{'));
        maybe |= statement.contains("...");
    }
    maybe |= blank.contains("__toCommonJS") || blank.contains("__exportStar");
    if maybe { Export::Maybe } else { Export::No }
}

/// The text with the inside of strings and all comments blanked out; lines stay where they are.
pub fn without_strings(text: &str, grammar: Grammar) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (skip, end): (usize, &str) = match (grammar, first) {
            (Grammar::Python, '#') => (1, "\n"),
            (Grammar::Python, '"') if rest.starts_with("\"\"\"") => (3, "\"\"\""),
            (Grammar::Python, '\'') if rest.starts_with("'''") => (3, "'''"),
            (Grammar::JavaScript, '/') if rest.starts_with("//") => (2, "\n"),
            (Grammar::JavaScript, '/') if rest.starts_with("/*") => (2, "*/"),
            (Grammar::JavaScript, '`') => (1, "`"),
            (_, '"') => (1, "\""),
            (_, '\'') => (1, "'"),
            _ => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        let length = skip + string_length(&rest[skip..], end);
        out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    out
}

/// Bytes until `end` was passed. A plain string ends with its line at the latest; a comment leaves its line's end.
fn string_length(text: &str, end: &str) -> usize {
    let is_short = matches!(end, "\"" | "'");
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if text[at..].starts_with(end) {
            return if end == "\n" { at } else { at + end.len() };
        } else if c == '\\' && end != "\n" && end != "*/" {
            escaped = true;
        } else if c == '\n' && is_short {
            return at;
        }
    }
    text.len()
}

fn import_list(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("from ").and_then(|rest| rest.split_once(" import "))
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| is_name(*c)).collect();
    (!name.is_empty()).then_some(name)
}

fn clean(text: &str) -> String {
    text.trim_matches(|c: char| !is_name(c)).to_owned()
}

fn has_word_after(text: &str, before: &str, name: &str) -> bool {
    text.match_indices(&format!("{before}{name}")).any(|(at, found)| {
        let starts = before.ends_with('.') || !text[..at].ends_with(is_name);
        starts && !text[at + found.len()..].starts_with(is_name)
    })
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_python_modules() {
        let check = |text: &str, names: &[&str]| assert_eq!(python_names(text), names, "{text}");
        check("def handler(event, context):\n    pass\n", &["handler"]);
        check(
            "async def handler(e, c): ...\nclass A:\n    def lambda_handler(self): ...\n",
            &["handler", "A"],
        );
        check("'''\ndef handler(): pass\n'''\nx = 1\n", &["x"]);
        check("s = \"\"\"\nhandler = 1\n\"\"\"\n# def handler(\n", &["s"]);
        check("from a import b, handler as h\nfrom c import (d)\n", &["b", "h", "d"]);
        check("handler: Callable = make()\nif x == 1:\n    y = 2\nz += 1\n", &["handler"]);
        check("lambda_handler = Mangum(app)\n", &["lambda_handler"]);
        check("def main(): pass", &["main"]);
        check("s = 'it\\'s'\ndef handler(e, c): pass\n", &["s", "handler"]);
    }

    #[test]
    fn exports_of_javascript_modules() {
        let check = |text: &str, expected| assert_eq!(exports(text, "handler"), expected, "{text}");
        check("exports.handler = async () => 1", Export::Yes);
        check("module.exports.handler = f", Export::Yes);
        check("module.exports = { handler }", Export::Yes);
        check("module.exports = {\n  other,\n  handler: f,\n}", Export::Yes);
        check("exports['handler'] = f", Export::Yes);
        check("export const handler = async (event) => {}", Export::Yes);
        check("export async function handler(event) {}", Export::Yes);
        check("const a = 1\nexport {\n  a,\n  b as handler,\n}", Export::Yes);
        check("// exports.handler = 1\nexports.other = 1", Export::No);
        check("const s = `export const handler`", Export::No);
        check("export const handlers = 1", Export::No);
        check("const handler = 1\nexport default handler2", Export::No);
        check("export * from './a.js'", Export::Maybe);
        check("module.exports = require('./dist')", Export::Maybe);
        check("console.log('hi')", Export::No);
    }
}
