//! Patterns for JSON messages: `{ $.a.b[0] = "x*" && ($.n >= 3 || $.c NOT EXISTS) }`.

use super::lexer::Lexer;
use super::{invalid, regex};
use crate::QueryError;
use regex::Regex;
use serde_json::Value;

/// Parentheses in parentheses.
const DEPTH_MAX: usize = 32;

#[derive(Debug)]
pub(crate) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Test { path: Vec<Step>, test: Test },
}

#[derive(Debug)]
pub(crate) enum Step {
    Member(String),
    Element(usize),
    AnyElement,
}

#[derive(Debug)]
pub(crate) enum Test {
    Equals(Operand),
    Differs(Operand),
    Compares(Comparison, f64),
    Is(Value),
    NotExists,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug)]
pub(crate) enum Operand {
    /// Text in which `*` stands for anything.
    Text(String),
    Number(f64),
    Regex(Regex),
}

impl Condition {
    pub(super) fn holds(&self, event: &Value) -> bool {
        match self {
            Self::And(all) => all.iter().all(|condition| condition.holds(event)),
            Self::Or(any) => any.iter().any(|condition| condition.holds(event)),
            Self::Test { path, test: Test::NotExists } => find(event, path).is_empty(),
            Self::Test { path, test } => find(event, path).into_iter().any(|value| test.holds(value)),
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Equals(operand) => operand.is(value),
            Self::Differs(operand) => !operand.is(value),
            Self::Is(wanted) => value == wanted,
            Self::NotExists => false,
            Self::Compares(comparison, bound) => value.as_f64().is_some_and(|number| match comparison {
                Comparison::Less => number < *bound,
                Comparison::LessOrEqual => number <= *bound,
                Comparison::Greater => number > *bound,
                Comparison::GreaterOrEqual => number >= *bound,
            }),
        }
    }
}

impl Operand {
    fn is(&self, value: &Value) -> bool {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return false,
        };
        match self {
            Self::Text(pattern) => wildcard(pattern, &text),
            Self::Number(number) => value.as_f64() == Some(*number),
            Self::Regex(regex) => regex.is_match(&text),
        }
    }
}

/// Whether `text` is `pattern`, in which every `*` stands for any characters.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

fn find<'a>(event: &'a Value, path: &[Step]) -> Vec<&'a Value> {
    path.iter().fold(vec![event], |found, step| {
        found
            .into_iter()
            .flat_map(|value| match step {
                Step::Member(name) => value.get(name).into_iter().collect(),
                Step::Element(index) => value.get(*index).into_iter().collect(),
                Step::AnyElement => value.as_array().into_iter().flatten().collect::<Vec<_>>(),
            })
            .collect()
    })
}

pub(super) fn parse(text: &str) -> Result<Condition, QueryError> {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let mut lexer = Lexer::over(inner.ok_or_else(|| invalid("a pattern for JSON ends with }".into()))?);
    let condition = any_of(&mut lexer, 0)?;
    lexer.skip_space();
    if lexer.is_done() { Ok(condition) } else { Err(invalid("it goes on where it should end".into())) }
}

fn any_of(lexer: &mut Lexer, depth: usize) -> Result<Condition, QueryError> {
    let mut conditions = vec![all_of(lexer, depth)?];
    while next_is(lexer, "||") {
        conditions.push(all_of(lexer, depth)?);
    }
    Ok(if conditions.len() == 1 { conditions.remove(0) } else { Condition::Or(conditions) })
}

fn all_of(lexer: &mut Lexer, depth: usize) -> Result<Condition, QueryError> {
    let mut conditions = vec![one(lexer, depth)?];
    while next_is(lexer, "&&") {
        conditions.push(one(lexer, depth)?);
    }
    Ok(if conditions.len() == 1 { conditions.remove(0) } else { Condition::And(conditions) })
}

fn next_is(lexer: &mut Lexer, token: &str) -> bool {
    lexer.skip_space();
    lexer.eat(token)
}

fn one(lexer: &mut Lexer, depth: usize) -> Result<Condition, QueryError> {
    if depth > DEPTH_MAX {
        return Err(invalid("its parentheses are too deep".into()));
    }
    if !next_is(lexer, "(") {
        return Ok(Condition::Test { path: path(lexer)?, test: test(lexer)? });
    }
    let condition = any_of(lexer, depth + 1)?;
    if next_is(lexer, ")") { Ok(condition) } else { Err(invalid("a parenthesis is not closed".into())) }
}

fn path(lexer: &mut Lexer) -> Result<Vec<Step>, QueryError> {
    if !lexer.eat("$") {
        return Err(invalid("a selector such as $.name is missing".into()));
    }
    let mut steps = Vec::new();
    loop {
        if lexer.eat(".") {
            let name = lexer.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
            if name.is_empty() {
                return Err(invalid("a selector lacks a name after the dot".into()));
            }
            steps.push(Step::Member(name.into()));
        } else if lexer.eat("[") {
            steps.push(bracket(lexer)?);
        } else if steps.is_empty() {
            return Err(invalid("a selector names nothing after $".into()));
        } else {
            return Ok(steps);
        }
    }
}

fn bracket(lexer: &mut Lexer) -> Result<Step, QueryError> {
    let step = if lexer.eat("*") {
        Step::AnyElement
    } else if lexer.eat("'") {
        Step::Member(lexer.quoted('\'')?)
    } else if lexer.eat("\"") {
        Step::Member(lexer.quoted('"')?)
    } else {
        let digits = lexer.take_while(|c| c.is_ascii_digit());
        Step::Element(digits.parse().map_err(|_| invalid("an index is not a number".into()))?)
    };
    if lexer.eat("]") { Ok(step) } else { Err(invalid("a bracket is not closed".into())) }
}

fn test(lexer: &mut Lexer) -> Result<Test, QueryError> {
    lexer.skip_space();
    if lexer.eat_word("NOT") {
        lexer.skip_space();
        let exists = lexer.eat_word("EXISTS");
        return exists.then_some(Test::NotExists).ok_or_else(|| invalid("NOT goes with EXISTS only".into()));
    }
    if lexer.eat_word("IS") {
        lexer.skip_space();
        let values = [("TRUE", Value::Bool(true)), ("FALSE", Value::Bool(false)), ("NULL", Value::Null)];
        let named = values.into_iter().find(|(name, _)| lexer.eat_word(name));
        return named
            .map(|(_, value)| Test::Is(value))
            .ok_or_else(|| invalid("IS goes with TRUE, FALSE or NULL".into()));
    }
    let comparisons = [
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    if lexer.eat("!=") {
        return operand(lexer).map(Test::Differs);
    }
    if lexer.eat("=") {
        return operand(lexer).map(Test::Equals);
    }
    let Some((_, comparison)) = comparisons.into_iter().find(|(token, _)| lexer.eat(token)) else {
        return Err(invalid("a comparison is missing".into()));
    };
    match operand(lexer)? {
        Operand::Number(bound) => Ok(Test::Compares(comparison, bound)),
        Operand::Text(_) | Operand::Regex(_) => Err(invalid("only numbers are less or greater".into())),
    }
}

fn operand(lexer: &mut Lexer) -> Result<Operand, QueryError> {
    lexer.skip_space();
    if lexer.eat("\"") {
        return lexer.quoted('"').map(Operand::Text);
    }
    if lexer.eat("%") {
        return regex(&lexer.quoted('%')?).map(Operand::Regex);
    }
    let word = lexer.take_while(|c| !c.is_whitespace() && !matches!(c, ')' | '(' | '&' | '|' | '"' | '%'));
    match word.parse::<f64>() {
        _ if word.is_empty() => Err(invalid("a value is missing".into())),
        Ok(number) if number.is_finite() => Ok(Operand::Number(number)),
        _ => Ok(Operand::Text(word.into())),
    }
}
