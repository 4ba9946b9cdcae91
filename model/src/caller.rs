//! Who makes a request, once a signature has proved it.

/// An identified principal. Made by `access`; everything else only reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What kind of principal this is.
    pub kind: CallerKind,
    /// The principal's ARN.
    pub arn: String,
    /// Twelve digits.
    pub account: String,
    /// The unique id that STS reports as `UserId`.
    pub user_id: String,
    /// The instance that it runs in; empty for those who are no function.
    pub instance: String,
    /// The access key id that signed the request; empty for anonymous callers.
    pub access_key: String,
}

/// The kinds of principal that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerKind {
    /// The holder of the root access key.
    Root,
    /// Code that runs inside an instance, with the credentials the platform gave it.
    Function,
    /// The bearer of the metrics token, who may read metrics and nothing else.
    Scraper,
    /// A visitor of a public function URL. Never allowed on any API.
    Anonymous,
}

impl Caller {
    /// The caller of a function URL whose AuthType is NONE.
    pub fn anonymous() -> Self {
        Self {
            kind: CallerKind::Anonymous,
            arn: "*".into(),
            account: String::new(),
            user_id: String::new(),
            instance: String::new(),
            access_key: String::new(),
        }
    }
}
