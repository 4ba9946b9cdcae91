//! Whatever arrives is answered: no input makes routing, decoding or error encoding panic.

use bytes::Bytes;
use proptest::prelude::*;
use wire::{Dialect, Error, Routed, Value};

fn answer(method: &str, uri: &str, headers: &[(&str, String)], body: Bytes) -> Result<Value, Error> {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let Ok((parts, ())) = request.body(()).map(http::Request::into_parts) else {
        return Ok(Value::Null); // hyper refuses such a head before this crate sees it
    };
    let result = wire::route(&parts)
        .and_then(|routed| match routed {
            Routed::Known(route) => Ok(route),
            Routed::ByBody(post) => post.resolve(&body),
        })
        .and_then(|route| wire::decode(&route, &parts, &body));
    if let Err(error) = &result {
        assert!((400..=501).contains(&error.status), "{error}");
        let response = wire::encode_error(Dialect::of(&parts), error, "id");
        assert!(response.status().as_u16() >= 400 && !response.body().is_empty());
    }
    result
}

/// Bodies near to what operations expect, so that they get past the first bracket.
fn documents() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        "[ -~]{0,20}".prop_map(|text| serde_json::Value::String(text).to_string()),
        Just("null".to_owned()),
        Just("true".to_owned()),
    ];
    let names = prop::sample::select(vec![
        "FunctionName",
        "Code",
        "ZipFile",
        "Layers",
        "Environment",
        "Variables",
        "Timeout",
        "Tags",
        "limit",
        "x",
    ]);
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let member = (names.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_of_every_shape(body in documents()) {
        let body = Bytes::from(body);
        let _ = answer("POST", "/2015-03-31/functions", &[], body.clone());
        let _ = answer("PUT", "/2015-03-31/functions/f/configuration", &[], body.clone());
        let target = [("x-amz-target", "Logs_20140328.FilterLogEvents".to_owned())];
        let _ = answer("POST", "/", &target, body);
    }

    #[test]
    fn heads_of_every_shape(path in "[/a-z0-9%{}.+-]{0,40}", query in "[a-zA-Z=&%+.0-9-]{0,40}", scope in "[ -~]{0,30}") {
        let headers = [("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}"))];
        let uri = format!("/{path}?{query}");
        let _ = answer("GET", &uri, &headers, Bytes::new());
        let _ = answer("POST", &format!("/2015-03-31/functions/{path}?{query}"), &[], Bytes::new());
    }

    #[test]
    fn forms_of_every_shape(form in "(Action=GetCallerIdentity&Version=2011-06-15)?[a-zA-Z=&%+.0-9-]{0,60}") {
        let headers = [("content-type", "application/x-www-form-urlencoded".to_owned())];
        let _ = answer("POST", "/", &headers, Bytes::from(form));
    }

    #[test]
    fn bytes_of_every_shape(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = answer("POST", "/2015-03-31/functions", &[], Bytes::from(body));
    }
}
