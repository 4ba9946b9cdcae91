//! Who am I: STS GetCallerIdentity.

#[cfg(test)]
mod tests;

use access::Permit;
use wire::Error;
use wire::sts::{GetCallerIdentityRequest, GetCallerIdentityResponse, Sts};

/// The account service. All it knows came with the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accounts;

impl Sts for Accounts {
    type Cx = Permit;

    async fn get_caller_identity(
        &self,
        cx: &Permit,
        _input: GetCallerIdentityRequest,
    ) -> Result<GetCallerIdentityResponse, Error> {
        let caller = cx.caller();
        Ok(GetCallerIdentityResponse {
            user_id: Some(caller.user_id.clone()),
            account: Some(caller.account.clone()),
            arn: Some(caller.arn.clone()),
        })
    }
}
