//! What stands in the store, and under which keys.

use crate::FunctionsError;
use crate::sharing::Sharing;
use access::policy::Document;
use bytes::Bytes;
use model::{Egress, FunctionName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use store::Key;

/// A function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FunctionRow {
    pub name: String,
    pub config: Config,
    pub code: Code,
    pub tags: BTreeMap<String, String>,
    /// Changes with every change of code or configuration.
    pub revision: String,
    /// When code or configuration changed last, in microseconds since 1970 UTC.
    pub modified_us: u64,
    /// Calls at once that are reserved for it, and the most that it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<u32>,
    /// Instances that are kept ready for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<Provisioned>,
}

/// Provisioned concurrency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Provisioned {
    pub instances: u32,
    pub modified_us: u64,
}

impl FunctionRow {
    /// Instances that are kept ready for it.
    pub(crate) fn kept_ready(&self) -> u32 {
        self.provisioned.map_or(0, |provisioned| provisioned.instances)
    }

    /// How far out it asks to connect.
    pub(crate) fn egress(&self) -> Egress {
        self.tags.get(Egress::TAG).and_then(|value| Egress::parse(value)).unwrap_or_default()
    }
}

/// Which versions of a function are published. It outlives the function, since no number is given twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionsRow {
    /// The number that was given last.
    pub last: u64,
    /// The description that `$LATEST` had then; that of the version may be another.
    pub description: String,
    /// Those that were not deleted. What each of them is stands in a row of its own, which never changes.
    pub live: BTreeMap<u64, Held>,
}

impl VersionsRow {
    /// The number that a qualifier names. `01` names none.
    pub(crate) fn number(qualifier: &str) -> Option<u64> {
        let number: u64 = qualifier.parse().ok()?;
        (number.to_string() == qualifier).then_some(number)
    }
}

/// What may change about a published version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Instances that are kept ready for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<Provisioned>,
    /// Its own resource policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRow>,
}

/// What a function's owner configures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub runtime: String,
    pub handler: String,
    pub role: String,
    pub description: String,
    pub timeout_s: u32,
    pub memory_mb: u32,
    pub tmp_mb: u32,
    pub environment: BTreeMap<String, String>,
    /// Whether instances are forked from a process that has loaded the code.
    #[serde(default)]
    pub snapstart: bool,
    /// Where the owner chose it; else it follows from the name.
    pub log_group: Option<String>,
    /// Where one instance serves several calls at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
}

impl Config {
    /// Where a function's log lines go.
    pub(crate) fn log_group(&self, name: &FunctionName) -> String {
        self.log_group.clone().unwrap_or_else(|| format!("/aws/lambda/{name}"))
    }
}

/// A function's package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code {
    /// Of the archive, 64 hexadecimal digits.
    pub sha256: String,
    /// Size of the archive.
    pub zip_bytes: u64,
}

/// A function's resource policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyRow {
    pub document: Document,
    pub revision: String,
}

/// A function's URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UrlRow {
    /// 32 lower-case letters and digits, for life.
    pub id: String,
    pub auth: UrlAuth,
    pub cors: Option<Cors>,
    pub created_us: u64,
    pub modified_us: u64,
}

/// The AuthType of a function URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UrlAuth {
    /// Anyone whom the resource policy lets in.
    #[serde(rename = "NONE")]
    None,
    /// Signed requests only.
    #[serde(rename = "AWS_IAM")]
    AwsIam,
}

/// Cross-origin rules of a function URL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cors {
    /// Whether cookies and the like are let through.
    pub allow_credentials: bool,
    /// Request headers that pages may send.
    pub allow_headers: Vec<String>,
    /// Methods that pages may use.
    pub allow_methods: Vec<String>,
    /// Origins that may ask.
    pub allow_origins: Vec<String>,
    /// Response headers that pages may read.
    pub expose_headers: Vec<String>,
    /// How long browsers may remember this.
    pub max_age_s: Option<u32>,
}

/// The kinds of row, as the byte strings that their keys begin with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Function,
    Policy,
    Url,
    /// A function's [`VersionsRow`].
    Versions,
    /// A published version, a [`FunctionRow`].
    Version,
    /// From a URL's id to its function's name.
    UrlId,
    /// A package that is placed or about to be placed, so that none is forgotten on the disk.
    Package,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Function => "functions/function/",
            Self::Policy => "functions/policy/",
            Self::Url => "functions/url/",
            Self::Versions => "functions/versions/",
            Self::Version => "functions/version/",
            Self::UrlId => "functions/url-id/",
            Self::Package => "functions/package/",
        }
    }

    pub(crate) fn key(self, name: &str) -> Key {
        format!("{}{name}", self.prefix()).into_bytes()
    }

    /// The key of a function's row of this kind.
    pub(crate) fn function(self, name: &FunctionName) -> Key {
        self.key(name.as_str())
    }

    /// What stands behind the prefix for a published version.
    pub(crate) fn numbered(name: &FunctionName, number: u64) -> String {
        format!("{name}:{number}")
    }

    /// The keys of this kind after `key`, or all of them.
    pub(crate) fn range_after(self, key: Option<&Key>) -> Range<Key> {
        let mut end = self.prefix().as_bytes().to_vec();
        *end.last_mut().expect("prefixes are not empty") += 1;
        let start = match key {
            Some(key) => [key.as_slice(), &[0]].concat(),
            None => self.prefix().into(),
        };
        start..end
    }

    /// What stands behind the prefix.
    pub(crate) fn name(self, key: &[u8]) -> String {
        String::from_utf8_lossy(&key[self.prefix().len()..]).into_owned()
    }
}

pub(crate) fn encode<T: Serialize>(row: &T) -> Bytes {
    serde_json::to_vec(row).expect("rows are plain data with text keys").into()
}

pub(crate) fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, FunctionsError> {
    serde_json::from_slice(bytes).map_err(|error| {
        FunctionsError::Internal(format!("the row {} cannot be read: {error}", key.escape_ascii()))
    })
}
