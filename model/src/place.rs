//! Where this platform says it is: account and region, and the ARNs that follow from them.

use crate::FunctionName;

/// The account and region that every ARN of this platform carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// A region name such as `us-east-1`.
    pub region: String,
}

impl Default for Place {
    fn default() -> Self {
        Self { account: "000000000000".into(), region: "us-east-1".into() }
    }
}

impl Place {
    /// `arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]`.
    pub fn function_arn(&self, name: &FunctionName, qualifier: Option<&str>) -> String {
        let Self { account, region } = self;
        match qualifier {
            Some(q) => format!("arn:aws:lambda:{region}:{account}:function:{name}:{q}"),
            None => format!("arn:aws:lambda:{region}:{account}:function:{name}"),
        }
    }

    /// `arn:aws:logs:<region>:<account>:log-group:<group>`.
    pub fn log_group_arn(&self, group: &str) -> String {
        format!("arn:aws:logs:{}:{}:log-group:{group}", self.region, self.account)
    }

    /// The ARN of the account's root principal.
    pub fn root_arn(&self) -> String {
        format!("arn:aws:iam::{}:root", self.account)
    }
}
