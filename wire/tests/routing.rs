//! Requests to this crate's own services: found by target, scope, path and action, whatever stands in the way.

use bytes::Bytes;
use http::request::Parts;
use wire::{Dialect, Error, Protocol, Route, Routed, Value};

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

struct Request {
    method: &'static str,
    uri: &'static str,
    scope: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

const PLAIN: Request = Request { method: "GET", uri: "/", scope: "", headers: &[], body: "" };

impl Request {
    fn parts(&self) -> (Parts, Bytes) {
        let mut request = http::Request::builder().method(self.method).uri(self.uri);
        if !self.scope.is_empty() {
            let scope = self.scope;
            let credential = format!("AKID/20261123/us-east-1/{scope}/aws4_request");
            request = request.header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00"),
            );
        }
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request of this table is well formed").into_parts();
        (parts, Bytes::from_static(self.body.as_bytes()))
    }

    fn route(&self) -> Result<Route, Error> {
        let (parts, body) = self.parts();
        match wire::route(&parts)? {
            Routed::Known(route) => Ok(route),
            Routed::ByBody(post) => post.resolve(&body),
        }
    }

    fn decode(&self) -> Result<Value, Error> {
        let (parts, body) = self.parts();
        wire::decode(&self.route()?, &parts, &body)
    }
}

#[test]
fn operations_are_found() {
    let check = |request: Request, expected: &str| {
        let found = request.route().map(|route| format!("{}.{}", route.service.name, route.operation.name));
        assert_eq!(found.as_deref(), Ok(expected), "{} {}", request.method, request.uri);
    };
    let lambda = |method, uri| Request { method, uri, scope: "lambda", ..PLAIN };
    check(lambda("GET", "/2015-03-31/functions"), "lambda.ListFunctions");
    check(lambda("GET", "/2015-03-31/functions/"), "lambda.ListFunctions");
    check(lambda("POST", "/2015-03-31/functions/hello/invocations"), "lambda.Invoke");
    check(
        lambda("POST", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Ax%3Ay%3Afunction%3Ahello/invocations"),
        "lambda.Invoke",
    );
    check(lambda("GET", "/2018-10-31/layers?find=LayerVersion&Arn=x"), "lambda.GetLayerVersionByArn");
    check(lambda("GET", "/2018-10-31/layers"), "lambda.ListLayers");
    check(lambda("DELETE", "/2017-03-31/tags/arn%3Aaws%3Alambda?tagKeys=a"), "lambda.UntagResource");
    check(Request { scope: "", ..lambda("GET", "/2015-03-31/functions/hello") }, "lambda.GetFunction");
    check(Request { uri: "/_dayfly/v1/status", scope: "dayfly", ..PLAIN }, "dayfly.GetStatus");
    let form = [("content-type", FORM)];
    let headers: &'static [_] = Vec::leak(form.to_vec());
    let sts = |body, scope| Request { method: "POST", headers, body, scope, ..PLAIN };
    check(sts("Action=GetCallerIdentity&Version=2011-06-15", "sts"), "sts.GetCallerIdentity");
    check(sts("Version=2011-06-15&Action=AssumeRole", ""), "sts.AssumeRole");
    check(Request { uri: "/?Action=GetCallerIdentity&Version=2011-06-15", ..PLAIN }, "sts.GetCallerIdentity");
    check(Request { headers, ..lambda("POST", "/2015-03-31/functions/x/invocations") }, "lambda.Invoke");
    let target = &[("x-amz-target", "Logs_20140328.DescribeLogGroups")];
    check(Request { method: "POST", headers: target, scope: "logs", ..PLAIN }, "logs.DescribeLogGroups");
}

#[test]
fn what_is_not_there_is_named() {
    let check = |request: Request, code: &str, status: u16, names: &str| {
        let error = request.decode().expect_err(request.uri);
        assert_eq!((error.code.as_ref(), error.status), (code, status), "{error}");
        assert!(error.message.contains(names), "{error}");
    };
    let unknown = "UnknownOperationException";
    let missing = "NotImplementedException";
    check(
        Request { uri: "/2015-03-31/nothing", scope: "lambda", ..PLAIN },
        unknown,
        404,
        "GET /2015-03-31/nothing",
    );
    check(
        Request { uri: "/2015-03-31/functions", scope: "logs", ..PLAIN },
        unknown,
        404,
        "/2015-03-31/functions",
    );
    check(Request { uri: "/bucket/key", scope: "s3", ..PLAIN }, missing, 501, "\"s3\"");
    check(Request { uri: "/", ..PLAIN }, unknown, 404, "GET /");
    check(Request { uri: "/2018-10-31/layers", scope: "lambda", ..PLAIN }, missing, 501, "ListLayers");
    let target = &[("x-amz-target", "Logs_20140328.PutLogEvents")];
    check(Request { headers: target, scope: "logs", ..PLAIN }, missing, 501, "PutLogEvents");
    let target = &[("x-amz-target", "Logs_20140328.Nonsense")];
    check(Request { headers: target, scope: "logs", ..PLAIN }, unknown, 404, "Logs_20140328.Nonsense");
    let form = &[("content-type", FORM)];
    let sts = |body| Request { method: "POST", headers: form, scope: "sts", body, ..PLAIN };
    check(sts("Action=AssumeRole&Version=2011-06-15"), missing, 501, "AssumeRole");
    check(sts("Action=Nonsense&Version=2011-06-15"), unknown, 404, "Nonsense");
    check(sts("Action=GetCallerIdentity&Version=1999-01-01"), unknown, 404, "1999-01-01");
    check(sts("Version=2011-06-15"), "MissingAction", 400, "Action");
    check(sts("Action=%FF"), "SerializationException", 400, "UTF-8");
}

#[test]
fn every_unserved_operation_is_refused_by_name() {
    let mut refused = 0;
    for service in wire::SERVICES {
        for operation in service.operations.iter().filter(|operation| !operation.served) {
            let route = Route { service, operation, labels: Vec::new() };
            let (parts, body) = PLAIN.parts();
            let error = wire::decode(&route, &parts, &body).expect_err(operation.name);
            assert_eq!(error.status, 501);
            assert!(error.message.contains(operation.name));
            refused += 1;
        }
    }
    assert!(refused > 180, "{refused}");
}

#[test]
fn dialects_are_guessed_for_what_cannot_be_routed() {
    let check = |request: Request, protocol| {
        assert_eq!(Dialect::of(&request.parts().0).protocol, protocol, "{}", request.uri);
    };
    check(Request { uri: "/nothing", ..PLAIN }, Protocol::RestJson);
    check(Request { scope: "sts", method: "POST", ..PLAIN }, Protocol::Query);
    check(Request { headers: &[("content-type", FORM)], method: "POST", ..PLAIN }, Protocol::Query);
    check(Request { headers: &[("x-amz-target", "Other.Thing")], ..PLAIN }, Protocol::Json11);
    let ten = &[("x-amz-target", "Other.Thing"), ("content-type", "application/x-amz-json-1.0")];
    check(Request { headers: ten, ..PLAIN }, Protocol::Json10);
    check(Request { scope: "logs", ..PLAIN }, Protocol::Json11);
}

#[test]
fn a_payload_is_passed_on_without_a_copy() {
    let request = Request {
        method: "POST",
        uri: "/2015-03-31/functions/hello/invocations?Qualifier=7",
        scope: "lambda",
        headers: &[("x-amz-invocation-type", "DryRun"), ("content-type", "application/json")],
        body: "{\"a\": 1}",
    };
    let (parts, _) = request.parts();
    let body = Bytes::from(request.body.as_bytes().to_vec());
    let route = request.route().expect("it is routed");
    let value = wire::decode(&route, &parts, &body).expect("it is valid");
    assert_eq!(route.operation.resource_text(&value), Some("hello"));
    let input =
        <wire::lambda::InvocationRequest as wire::Member>::from_value(value).expect("it has the shape");
    let payload = input.payload.expect("it has a payload");
    assert_eq!(payload.as_ptr(), body.as_ptr());
    assert_eq!(input.qualifier.as_deref(), Some("7"));
    assert_eq!(input.invocation_type, Some(wire::lambda::InvocationType::DryRun));

    let output = wire::lambda::InvocationResponse {
        status_code: Some(200),
        payload: Some(body.clone()),
        function_error: Some("Unhandled".into()),
        ..Default::default()
    };
    let response = wire::encode(&route, wire::Member::into_value(output), "id");
    assert_eq!(response.body().as_ptr(), body.as_ptr());
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
    assert_eq!(response.headers()[wire::REQUEST_ID], "id");
}
