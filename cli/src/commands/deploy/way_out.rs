//! How far out the function may connect: a tag, which the platform reads.

use crate::api::lambda::{self, Configuration};
use crate::client::Client;
use crate::failure::Failure;
use model::Egress;

/// Sets it where it is ordered and differs; says so.
pub async fn settle(
    client: &Client,
    function: &Configuration,
    order: Option<Egress>,
) -> Result<Option<String>, Failure> {
    let Some(order) = order else { return Ok(None) };
    let tags = lambda::tags(client, &function.function_arn).await?;
    let present = tags.get(Egress::TAG).and_then(|value| Egress::parse(value)).unwrap_or_default();
    if present == order {
        return Ok(None);
    }
    lambda::tag(client, &function.function_arn, Egress::TAG, order.name()).await?;
    Ok(Some(format!("egress {present} -> {order}")))
}
