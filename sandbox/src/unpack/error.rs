//! Why a package was not unpacked.

/// Why a package was not unpacked, by what its receiver does next. Nothing was left at the destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum UnpackError {
    /// The package is at fault: damaged, hostile, or of a form that is not served. Its owner must change it.
    #[error("{}{why}", entry.as_deref().map(|name| format!("entry \"{name}\": ")).unwrap_or_default())]
    Refused {
        /// The entry at fault, printable and cut to a sane length; none if it is the archive as a whole.
        entry: Option<String>,
        /// What is wrong with it.
        why: String,
    },
    /// The package passes a limit.
    #[error("{limit}: {found} is more than the {allowed} allowed")]
    TooLarge {
        /// The limit's name as in `model::limits`.
        limit: String,
        /// Its value.
        allowed: u64,
        /// What the package has, or the least that it has.
        found: u64,
    },
    /// Something is at the destination already.
    #[error("the destination exists already")]
    Exists,
    /// The disk or its quota is full.
    #[error("no space is left to unpack the package")]
    DiskFull,
    /// This machine could not do it; the package is not to blame.
    #[error("the package could not be unpacked: {0}")]
    Failed(String),
}
