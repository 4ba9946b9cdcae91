//! Tokens that name a place between two events: opaque to clients, checked when they come back.

use crate::QueryError;
use store::Position;

/// The order of events: by time, then as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) stamp_us: u64,
    pub(crate) position: Position,
}

impl Place {
    /// Before every event of that time.
    pub(crate) fn first_at(stamp_us: u64) -> Self {
        Self { stamp_us, position: Position(0) }
    }

    /// After every event of that time.
    pub(crate) fn last_at(stamp_us: u64) -> Self {
        Self { stamp_us, position: Position(u64::MAX) }
    }

    /// The place right after this one.
    pub(crate) fn next(self) -> Self {
        Self { position: Position(self.position.0.saturating_add(1)), ..self }
    }

    /// The place right before this one.
    pub(crate) fn previous(self) -> Self {
        Self { position: Position(self.position.0.saturating_sub(1)), ..self }
    }
}

/// A place and the direction in which a client wants to go on from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// To events after this place.
    Forward(Place),
    /// To events before this place.
    Backward(Place),
}

impl Token {
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        let place = |digits: &str| -> Option<Place> {
            let plain = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            let number = |part: &str| u64::from_str_radix(part, 16).ok();
            let (stamp, position) = plain.then(|| digits.split_at(16))?;
            Some(Place { stamp_us: number(stamp)?, position: Position(number(position)?) })
        };
        let inner = |prefix| text.strip_prefix(prefix)?.strip_suffix("/s").and_then(place);
        inner("f/")
            .map(Self::Forward)
            .or_else(|| inner("b/").map(Self::Backward))
            .ok_or(QueryError::InvalidToken)
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (direction, place) = match self {
            Self::Forward(place) => ('f', place),
            Self::Backward(place) => ('b', place),
        };
        write!(f, "{direction}/{:016x}{:016x}/s", place.stamp_us, place.position.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_edited_ones_are_refused() {
        let place = Place { stamp_us: 1_767_225_600_000_001, position: Position(u64::MAX) };
        for token in [Token::Forward(place), Token::Backward(place)] {
            assert_eq!(Token::parse(&token.to_string()), Ok(token));
        }
        let good = Token::Forward(place).to_string();
        let wide = good.replacen('0', "é", 1);
        for bad in
            ["", "f/", "f//s", "x/00/s", &good[1..], &good[..good.len() - 1], &good.to_uppercase(), &wide]
        {
            assert_eq!(Token::parse(bad), Err(QueryError::InvalidToken), "{bad}");
        }
    }
}
