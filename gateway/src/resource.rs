//! Which resource a call is about: the ARN that it is authorised on.

use model::{FunctionAddress, NameError, Place};
use wire::{Error, Operation, Resource, Value};

/// The member by which a client names a version, if not in the name itself.
const QUALIFIER: &str = "Qualifier";

/// A resource and, where it is a function or a version of one, its address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) arn: String,
    pub(crate) function: Option<FunctionAddress>,
}

/// Reads the resource out of a decoded call, as the operation's table row says.
pub(crate) fn of(operation: &Operation, input: &Value, place: &Place) -> Result<Named, Error> {
    let other = |arn: String| Named { arn, function: None };
    let Some(text) = operation.resource_text(input) else { return Ok(other("*".into())) };
    match operation.resource {
        Resource::Any => Ok(other("*".into())),
        Resource::Function { .. } => function(text, operation.member_text(input, QUALIFIER), place),
        Resource::LogGroup { .. } if text.starts_with("arn:") => Ok(other(text.into())),
        Resource::LogGroup { .. } => Ok(other(place.log_group_arn(text))),
        Resource::Arn { .. } if text.contains(":function:") => function(text, None, place),
        Resource::Arn { .. } => Ok(other(text.into())),
    }
}

fn function(text: &str, qualifier: Option<&str>, place: &Place) -> Result<Named, Error> {
    let address = match FunctionAddress::parse(text, qualifier, place) {
        Ok(address) => address,
        // The service refuses it, in AWS's words.
        Err(NameError::TwoQualifiers { .. }) => return function(text, None, place),
        Err(NameError::Elsewhere(arn)) => return Ok(Named { arn, function: None }),
        Err(why) => return Err(Error::validation(why.to_string())),
    };
    let arn = place.function_arn(&address.name, address.qualifier.as_deref());
    Ok(Named { arn, function: Some(address) })
}
