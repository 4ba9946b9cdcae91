//! The public URL: made, left alone, or removed.

use crate::api::lambda::{self, UrlConfig};
use crate::client::Client;
use crate::failure::Failure;
use serde_json::{Value, json};

const URL_STATEMENT: &str = "FunctionURLAllowPublicAccess";
const INVOKE_STATEMENT: &str = "FunctionURLInvokeAllowPublicAccess";

/// What became of the URL.
#[derive(Debug)]
pub struct Public {
    url: Option<UrlConfig>,
    by_path: Option<String>,
    change: Option<&'static str>,
}

impl Public {
    /// The form of the URL that needs no name resolution, if anybody may call it.
    pub fn by_path(&self) -> Option<&str> {
        self.by_path.as_deref()
    }

    /// The form with a host name of its own.
    pub fn by_host(&self) -> Option<&str> {
        self.url.as_ref().map(|url| url.function_url.as_str())
    }

    /// What was done, for the user.
    pub fn change(&self) -> Option<String> {
        self.change.map(str::to_owned)
    }

    fn new(client: &Client, url: Option<UrlConfig>, change: Option<&'static str>) -> Self {
        let url = url.filter(|url| url.auth_type == "NONE");
        let by_path = url.as_ref().and_then(|url| url.path_form(&client.target().endpoint.url()));
        Self { url, by_path, change }
    }
}

/// Makes the URL's state what was ordered; without an order looks at it only.
pub async fn settle(client: &Client, name: &str, order: Option<bool>) -> Result<Public, Failure> {
    let present = lambda::url(client, name).await?;
    let is_open = present.as_ref().is_some_and(|url| url.auth_type == "NONE");
    match (order, present) {
        (None, present) => Ok(Public::new(client, present, None)),
        (Some(true), present) => {
            let (url, change) = match present {
                Some(url) if is_open => (url, None),
                Some(_) => (lambda::open_url(client, name).await?, Some("URL opened to anybody")),
                None => (lambda::create_url(client, name).await?, Some("public URL")),
            };
            for statement in statements() {
                lambda::add_permission(client, name, &statement).await?;
            }
            Ok(Public::new(client, Some(url), change))
        }
        (Some(false), Some(_)) if is_open => {
            lambda::delete_url(client, name).await?;
            for statement in [URL_STATEMENT, INVOKE_STATEMENT] {
                lambda::remove_permission(client, name, statement).await?;
            }
            Ok(Public::new(client, None, Some("public URL removed")))
        }
        (Some(false), present) => Ok(Public::new(client, present, None)),
    }
}

/// The two statements that a URL for anybody needs: one for the URL, one for the call that comes through it.
fn statements() -> [Value; 2] {
    [
        json!({
            "StatementId": URL_STATEMENT,
            "Action": "lambda:InvokeFunctionUrl",
            "Principal": "*",
            "FunctionUrlAuthType": "NONE",
        }),
        json!({
            "StatementId": INVOKE_STATEMENT,
            "Action": "lambda:InvokeFunction",
            "Principal": "*",
            "InvokedViaFunctionUrl": true,
        }),
    ]
}
