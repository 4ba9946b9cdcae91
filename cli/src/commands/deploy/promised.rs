//! What the function is promised: calls reserved for it, instances kept ready.

use super::order::Order;
use crate::api::lambda::{self, Provisioned};
use crate::client::Client;
use crate::failure::Failure;
use model::LATEST;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(50);
const POLLS: u32 = 1200;

/// Sets what is ordered and differs; says so. Waits until the instances are there.
pub async fn settle(client: &Client, order: &Order) -> Result<Vec<String>, Failure> {
    let name = order.name.as_str();
    let mut changes = Vec::new();
    let provisioned = match order.settings.provisioned {
        Some(wanted) => {
            let present = lambda::provisioned(client, name, LATEST).await?.map_or(0, |kept| kept.requested);
            (present != wanted).then_some((present, wanted))
        }
        None => None,
    };
    // Fewer instances first, more of them last: no more may be kept ready than are reserved.
    if let Some((present, wanted)) = provisioned.filter(|(present, wanted)| wanted < present) {
        changes.push(provision(client, name, present, wanted).await?);
    }
    changes.extend(reserve(client, order).await?);
    if let Some((present, wanted)) = provisioned.filter(|(present, wanted)| wanted > present) {
        changes.push(provision(client, name, present, wanted).await?);
    }
    Ok(changes)
}

async fn reserve(client: &Client, order: &Order) -> Result<Option<String>, Failure> {
    let wanted = match order.settings.reserved_concurrency {
        _ if order.unreserved => None,
        None => return Ok(None),
        wanted => wanted,
    };
    let present = lambda::reserved(client, &order.name).await?;
    if present == wanted {
        return Ok(None);
    }
    match wanted {
        Some(calls) => lambda::reserve(client, &order.name, calls).await?,
        None => lambda::release(client, &order.name).await?,
    }
    let show = |calls: Option<u32>| calls.map_or("none".to_owned(), |calls| calls.to_string());
    Ok(Some(format!("reserved concurrency {} -> {}", show(present), show(wanted))))
}

async fn provision(client: &Client, name: &str, present: u32, wanted: u32) -> Result<String, Failure> {
    if wanted == 0 {
        lambda::deprovision(client, name).await?;
        return Ok(format!("provisioned {present} -> 0"));
    }
    let mut kept = lambda::provision(client, name, wanted).await?;
    for _ in 0..POLLS {
        if kept.status != "IN_PROGRESS" {
            break;
        }
        tokio::time::sleep(POLL).await;
        kept = lambda::provisioned(client, name, LATEST).await?.unwrap_or_default();
    }
    if kept.status == "READY" {
        return Ok(format!("provisioned {present} -> {wanted}, all ready"));
    }
    Err(unkept(name, &kept))
}

fn unkept(name: &str, kept: &Provisioned) -> Failure {
    Failure::new(
        format!("{} of {} provisioned instances of {name} are ready", kept.available, kept.requested),
        kept.reason.clone().unwrap_or_else(|| "the others are still being made".into()),
        format!("dayfly logs {name}"),
    )
}
