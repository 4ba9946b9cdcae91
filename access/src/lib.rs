//! Who asks, and whether they may: signatures, credentials and resource policies.
//!
//! A request becomes an [`Identity`] by [`Access::identify`] and a [`Permit`] by [`Access::authorize`]. Services
//! take a `&Permit`, and neither type can be made anywhere else, so a handler that skips the question does not
//! compile:
//!
//! ```compile_fail,E0451
//! let forged = access::Permit {
//!     caller: model::Caller::anonymous(),
//!     action: "lambda:CreateFunction".into(),
//!     resource: "*".into(),
//!     request: access::RequestFacts::default(),
//! };
//! ```
//!
//! ```compile_fail,E0423
//! let forged = access::Identity(model::Caller::anonymous());
//! ```

mod canonical;
mod claim;
mod clock;
mod denied;
mod gate;
mod identity;
mod keys;
pub mod policy;
mod scrape;
mod session;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

pub use denied::Denied;
pub use gate::{Access, Ask};
pub use identity::{Identity, Permit, RequestFacts};
pub use keys::{KeyError, Keys, RootKey};
pub use session::{FunctionClaims, FunctionCredentials};
pub use sign::{Credentials, Scope, SignError, presign, sign};
