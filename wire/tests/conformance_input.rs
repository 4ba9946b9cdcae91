//! The vendor's input cases, inverted: the given serialised request decodes to the given parameters.

mod protocols;

use bytes::Bytes;
use protocols::{shapes, values};
use serde_json::Value as Json;
use wire::{Protocol, Routed, Router};

#[test]
fn every_request_decodes_to_its_parameters() {
    protocols::run("input", check);
}

fn check(group: &Json, case: &Json) -> Result<(), String> {
    let input = shapes::shape(group, &case["given"]["input"]);
    let service = shapes::service(group, case, input);
    let serialized = &case["serialized"];
    let mut request = http::Request::builder()
        .method(serialized["method"].as_str().unwrap_or("POST"))
        .uri(serialized["uri"].as_str().unwrap_or("/"));
    for (name, value) in serialized["headers"].as_object().into_iter().flatten() {
        request = request.header(name, value.as_str().unwrap_or_default());
    }
    let names_target = serialized["headers"].get("X-Amz-Target").is_some();
    if matches!(service.protocol, Protocol::Json10 | Protocol::Json11) && !names_target {
        // Some cases leave out what they are not about.
        request = request
            .header("X-Amz-Target", format!("{}.{}", service.target_prefix, service.operations[0].name));
    }
    let (parts, ()) = request.body(()).map_err(|error| error.to_string())?.into_parts();
    let body = Bytes::from(serialized["body"].as_str().unwrap_or_default().to_owned());
    let route = match Router::new(&[service]).route(&parts).map_err(|error| error.to_string())? {
        Routed::Known(route) => route,
        Routed::ByBody(post) => post.resolve(&body).map_err(|error| error.to_string())?,
    };
    let found = wire::decode(&route, &parts, &body).map_err(|error| error.to_string())?;
    let Some(input) = input else { return Ok(()) };
    let shows_empty = service.protocol != Protocol::Query;
    let expected = values::canonical(input, &values::value(input, &case["params"]), shows_empty);
    let found = values::canonical(input, &found, shows_empty);
    if expected == found { Ok(()) } else { Err(format!("expected\n{expected}found\n{found}")) }
}
