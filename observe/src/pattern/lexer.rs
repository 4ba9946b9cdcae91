//! Characters one by one, and the two kinds of quotes that both kinds of pattern know.

use super::invalid;
use crate::QueryError;

pub(super) struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn over(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes `token` if it comes next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes `word`, in any case, if it comes next and ends there.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let Some((head, rest)) = self.rest.split_at_checked(word.len()) else { return false };
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric());
        let found = ends && head.eq_ignore_ascii_case(word);
        if found {
            self.rest = rest;
        }
        found
    }

    /// Takes characters as long as `wanted` holds.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// What stands between `quote` and the next one that no backslash precedes. The opening one was taken.
    pub(super) fn quoted(&mut self, quote: char) -> Result<String, QueryError> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            if character == quote {
                self.rest = &self.rest[at + quote.len_utf8()..];
                return Ok(text);
            }
            // A regular expression keeps its own backslashes.
            match (character, characters.clone().next()) {
                ('\\', Some((_, escaped))) if escaped == quote || (escaped == '\\' && quote != '%') => {
                    text.push(escaped);
                    characters.next();
                }
                _ => text.push(character),
            }
        }
        Err(invalid(format!("{quote} is opened and never closed")))
    }
}
