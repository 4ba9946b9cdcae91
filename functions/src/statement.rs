//! Statements of resource policies, rendered as AWS renders them.

use crate::FunctionsError;
use crate::rows::PolicyRow;
use access::policy::{Document, Effect, LANGUAGE, OneOrMany, Statement};
use model::limit;
use serde_json::{Map, Value, json};
use wire::lambda::AddPermissionRequest;

const INVOKE: &str = "lambda:InvokeFunction";
const INVOKE_URL: &str = "lambda:InvokeFunctionUrl";

/// The statement that an AddPermission asks for, on the function `arn`.
pub(crate) fn statement(input: &AddPermissionRequest, arn: &str) -> Result<Statement, FunctionsError> {
    if input.function_url_auth_type.is_some() && input.action != INVOKE_URL {
        return Err(invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"));
    }
    if input.invoked_via_function_url.is_some() && input.action != INVOKE {
        return Err(invalid("InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action"));
    }
    Ok(Statement {
        sid: Some(input.statement_id.clone()),
        effect: Effect::Allow,
        principal: principal(&input.principal)?,
        action: OneOrMany::One(input.action.clone()),
        resource: OneOrMany::One(arn.to_owned()),
        condition: conditions(input),
    })
}

/// The policy with one more statement.
pub(crate) fn added(policy: Option<&Document>, statement: Statement) -> Result<Document, FunctionsError> {
    let mut document = policy.cloned().unwrap_or_else(|| Document {
        version: LANGUAGE.into(),
        id: Some("default".into()),
        statement: Vec::new(),
    });
    if document.statement.iter().any(|present| present.sid == statement.sid) {
        return Err(FunctionsError::Conflict(format!(
            "The statement id ({}) provided already exists. Please provide a new statement id, or remove the \
             existing statement.",
            statement.sid.unwrap_or_default()
        )));
    }
    document.statement.push(statement);
    let (bytes, limit_bytes) = (text(&document).len(), limit("policy-bytes"));
    if bytes as u64 > limit_bytes {
        return Err(FunctionsError::PolicyTooLong { bytes, limit_bytes });
    }
    Ok(document)
}

/// The policy without a statement; `None` where that was the last.
pub(crate) fn removed(policy: &PolicyRow, sid: &str) -> Result<Option<Document>, FunctionsError> {
    let mut document = policy.document.clone();
    let before = document.statement.len();
    document.statement.retain(|statement| statement.sid.as_deref() != Some(sid));
    if document.statement.len() == before {
        return Err(FunctionsError::NotFound(format!("Statement {sid} is not found in resource policy.")));
    }
    Ok((!document.statement.is_empty()).then_some(document))
}

/// JSON text of a document or a statement.
pub(crate) fn text<T: serde::Serialize>(part: &T) -> String {
    serde_json::to_string(part).expect("policies are plain data with text keys")
}

fn principal(given: &str) -> Result<Value, FunctionsError> {
    let is_account = given.len() == 12 && given.bytes().all(|b| b.is_ascii_digit());
    if given == "*" {
        Ok(json!("*"))
    } else if is_account {
        Ok(json!({ "AWS": format!("arn:aws:iam::{given}:root") }))
    } else if given.starts_with("arn:") {
        Ok(json!({ "AWS": given }))
    } else if given.contains('.') {
        Ok(json!({ "Service": given }))
    } else {
        Err(invalid("The provided principal was invalid. Please check the principal and try again."))
    }
}

fn conditions(input: &AddPermissionRequest) -> Map<String, Value> {
    let text = |value: &Option<String>| value.clone().map(Value::String);
    let auth_type = input.function_url_auth_type.map(|auth| Value::from(auth.as_str()));
    let via_url = input.invoked_via_function_url.map(|via| Value::from(via.to_string()));
    [
        (
            "StringEquals",
            vec![
                ("lambda:FunctionUrlAuthType", auth_type),
                ("AWS:SourceAccount", text(&input.source_account)),
                ("lambda:EventSourceToken", text(&input.event_source_token)),
                ("aws:PrincipalOrgID", text(&input.principal_org_id)),
            ],
        ),
        ("ArnLike", vec![("AWS:SourceArn", text(&input.source_arn))]),
        ("Bool", vec![("lambda:InvokedViaFunctionUrl", via_url)]),
    ]
    .into_iter()
    .filter_map(|(operator, keys)| {
        let keys: Map<String, Value> =
            keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        (!keys.is_empty()).then(|| (operator.to_owned(), Value::Object(keys)))
    })
    .collect()
}

fn invalid(text: &str) -> FunctionsError {
    FunctionsError::Invalid(text.into())
}
