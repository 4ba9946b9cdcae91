//! Whom a statement speaks of.

use super::condition::Truth;
use model::{Caller, CallerKind};
use serde_json::Value;

/// Whether `caller` is among the principals of a statement.
pub(super) fn matches(principal: &Value, caller: &Caller) -> Truth {
    match principal {
        Value::String(text) if text == "*" => Truth::True,
        Value::Object(kinds) => kinds.iter().fold(Truth::False, |so_far, (kind, names)| {
            so_far.or(match kind.as_str() {
                "AWS" => any(names, |name| is_account_principal(name, caller)),
                "Service" => any(names, |_| false),
                _ => Truth::Unknown,
            })
        }),
        _ => Truth::Unknown,
    }
}

fn any(names: &Value, fits: impl Fn(&str) -> bool) -> Truth {
    let fits = |name: &Value| name.as_str().map_or(Truth::Unknown, |text| Truth::from(fits(text)));
    match names {
        Value::Array(list) => list.iter().fold(Truth::False, |so_far, name| so_far.or(fits(name))),
        one => fits(one),
    }
}

/// `*`, an account, its root ARN, the caller's own ARN, or the ARN of the role whose session the caller is. An
/// account stands for all its principals: there are no identity policies yet that could narrow it.
fn is_account_principal(name: &str, caller: &Caller) -> bool {
    if name == "*" || name == caller.arn {
        return true;
    }
    if caller.kind == CallerKind::Anonymous {
        return false;
    }
    name == caller.account
        || name == format!("arn:aws:iam::{}:root", caller.account)
        || role_of(caller).is_some_and(|role| is_role(name, &caller.account, role))
}

fn role_of(caller: &Caller) -> Option<&str> {
    caller.arn.split_once(":assumed-role/")?.1.split('/').next()
}

/// Role names are unique in an account, so the path before the name does not matter.
fn is_role(arn: &str, account: &str, role: &str) -> bool {
    let prefix = format!("arn:aws:iam::{account}:role/");
    arn.strip_prefix(&prefix).and_then(|path| path.rsplit('/').next()) == Some(role)
}
