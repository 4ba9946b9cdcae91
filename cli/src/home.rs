//! Where this user's Dayfly keeps its things.

use std::env::var_os;
use std::path::PathBuf;

/// The data directory when none is named: `$XDG_DATA_HOME/dayfly`, `~/.local/share/dayfly`, or `./.dayfly` for a
/// user without a home.
pub fn data() -> PathBuf {
    below("XDG_DATA_HOME", ".local/share").unwrap_or_else(|| PathBuf::from(".dayfly"))
}

/// Where built dependencies are kept: `$XDG_CACHE_HOME/dayfly`, `~/.cache/dayfly`, or `./.dayfly/cache`.
pub fn cache() -> PathBuf {
    below("XDG_CACHE_HOME", ".cache").unwrap_or_else(|| PathBuf::from(".dayfly/cache"))
}

fn below(variable: &str, usual: &str) -> Option<PathBuf> {
    let named = var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    named.or_else(|| home().map(|home| home.join(usual))).map(|path| path.join("dayfly"))
}
