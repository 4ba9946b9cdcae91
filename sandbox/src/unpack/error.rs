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

impl UnpackError {
    /// The archive as a whole is at fault.
    pub(super) fn archive(why: impl Into<String>) -> Self {
        UnpackError::Refused { entry: None, why: why.into() }
    }

    /// One entry is at fault. Its name is made printable and cut.
    pub(super) fn entry(name: &[u8], why: impl Into<String>) -> Self {
        const SHOWN_CHARACTERS: usize = 200;
        let name = String::from_utf8_lossy(name);
        let mut shown: String = name
            .chars()
            .take(SHOWN_CHARACTERS)
            .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
            .collect();
        if name.chars().nth(SHOWN_CHARACTERS).is_some() {
            shown.push('…');
        }
        UnpackError::Refused { entry: Some(shown), why: why.into() }
    }

    /// A limit is passed.
    pub(super) fn too_large(limit: &str, allowed: u64, found: u64) -> Self {
        UnpackError::TooLarge { limit: limit.to_owned(), allowed, found }
    }

    /// Something of this machine failed while doing `what`.
    pub(super) fn machine(what: &str, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => UnpackError::DiskFull,
            _ => UnpackError::Failed(format!("{what}: {error}")),
        }
    }
}
