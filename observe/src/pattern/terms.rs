//! Patterns for unstructured messages: `word`, `"a phrase"`, `%regex%`; `-` before one excludes, `?` makes it
//! one of several of which one suffices.

use super::lexer::Lexer;
use super::{invalid, regex};
use crate::QueryError;
use regex::Regex;

#[derive(Debug, Default)]
pub(crate) struct Terms {
    required: Vec<Term>,
    excluded: Vec<Term>,
    optional: Vec<Term>,
}

#[derive(Debug)]
enum Term {
    Text(String),
    Regex(Regex),
}

impl Terms {
    pub(super) fn parse(text: &str) -> Result<Self, QueryError> {
        let mut lexer = Lexer::over(text);
        let mut terms = Self::default();
        loop {
            lexer.skip_space();
            if lexer.is_done() {
                break;
            }
            let kind = match lexer.peek() {
                Some('-') => &mut terms.excluded,
                Some('?') => &mut terms.optional,
                _ => &mut terms.required,
            };
            let _ = lexer.eat("-") || lexer.eat("?");
            kind.push(term(&mut lexer)?);
        }
        // Beside terms of the other kinds, optional ones have no effect.
        if !terms.required.is_empty() || !terms.excluded.is_empty() {
            terms.optional.clear();
        }
        Ok(terms)
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        let found = |term: &Term| match term {
            Term::Text(text) => message.contains(text.as_str()),
            Term::Regex(regex) => regex.is_match(message),
        };
        self.required.iter().all(found)
            && !self.excluded.iter().any(found)
            && (self.optional.is_empty() || self.optional.iter().any(found))
    }
}

fn term(lexer: &mut Lexer) -> Result<Term, QueryError> {
    if lexer.eat("\"") {
        return lexer.quoted('"').map(Term::Text);
    }
    if lexer.eat("%") {
        return regex(&lexer.quoted('%')?).map(Term::Regex);
    }
    match lexer.take_while(|c| !c.is_whitespace()) {
        "" => Err(invalid("a term is missing".into())),
        word => Ok(Term::Text(word.into())),
    }
}
