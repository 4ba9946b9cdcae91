//! How far out of its sandbox a function may connect.

use serde::{Deserialize, Serialize};
use std::fmt;

/// From nowhere to everywhere; each includes what stands before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// Its own loopback only.
    None,
    /// The platform's own endpoint.
    #[default]
    Platform,
    /// Public addresses of the internet.
    Public,
    /// Private networks too; never the machine's own loopback, link-local addresses, or metadata services.
    All,
}

impl Egress {
    /// The tag of a function that asks for one.
    pub const TAG: &str = "dayfly:egress";

    /// All, in order.
    pub const ALL: [Self; 4] = [Self::None, Self::Platform, Self::Public, Self::All];

    /// Reads its name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|egress| egress.name() == text)
    }

    /// `none`, `platform`, `public` or `all`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Platform => "platform",
            Self::Public => "public",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_each_goes_further() {
        for egress in Egress::ALL {
            assert_eq!(Egress::parse(&egress.to_string()), Some(egress));
        }
        assert!(Egress::ALL.is_sorted());
        assert_eq!(Egress::parse("Public"), None);
    }
}
