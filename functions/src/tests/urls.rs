//! Function URLs.

use super::stage::{ARN, Stage};
use crate::UrlAuth;
use serde_json::json;

const URL: &str = "/2021-10-31/functions/hello/url";

#[tokio::test]
async fn a_url_keeps_its_address_for_life() {
    let mut stage = Stage::with_hello().await;
    assert_eq!(stage.get(URL).await.code(), (404, "ResourceNotFoundException"));
    let cors = json!({ "AllowOrigins": ["*"], "MaxAge": 60 });
    let made = stage.post(URL, json!({ "AuthType": "AWS_IAM", "Cors": cors })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let json = made.json();
    assert_eq!((&json["FunctionArn"], &json["AuthType"]), (&json!(ARN), &json!("AWS_IAM")));
    assert_eq!((&json["Cors"], &json["InvokeMode"]), (&cors, &json!("BUFFERED")));
    let address = json["FunctionUrl"].as_str().expect("a URL").to_owned();
    let id =
        address.strip_prefix("http://").and_then(|rest| rest.strip_suffix(".lambda-url.localhost:4566/"));
    let id = id.expect("the id and the authority").to_owned();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{id}");

    let again = stage.post(URL, json!({ "AuthType": "NONE" })).await;
    assert_eq!(again.code(), (409, "ResourceConflictException"));
    let changed = stage.put(URL, json!({ "AuthType": "NONE" })).await.json();
    assert_eq!((&changed["FunctionUrl"], &changed["AuthType"]), (&json!(address), &json!("NONE")));
    assert_eq!(changed["Cors"], cors, "what was not named stays");
    stage.restart().await;
    let got = stage.get(URL).await.json();
    assert_eq!(got, changed);
    let listed = stage.get("/2021-10-31/functions/hello/urls").await.json();
    assert_eq!(listed["FunctionUrlConfigs"], json!([got]));

    let target = stage.functions.url(&id).expect("leads somewhere");
    assert_eq!((target.auth, target.version.function.as_str()), (UrlAuth::None, "hello"));
    assert_eq!(target.cors.expect("rules").max_age_s, Some(60));
    assert!(stage.functions.url("nowhere").is_none());
    assert_eq!(stage.delete(URL).await.status, 204);
    assert!(stage.functions.url(&id).is_none());
    assert_eq!(stage.delete(URL).await.code(), (404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn what_is_not_served_is_named() {
    let stage = Stage::with_hello().await;
    let streaming = stage.post(URL, json!({ "AuthType": "NONE", "InvokeMode": "RESPONSE_STREAM" })).await;
    assert_eq!(streaming.code(), (501, "NotImplementedException"));
    assert!(streaming.message().starts_with("InvokeMode RESPONSE_STREAM is not implemented"));
    assert_eq!(stage.post(&format!("{URL}?Qualifier=prod"), json!({ "AuthType": "NONE" })).await.status, 404);
    assert_eq!(stage.post(URL, json!({ "AuthType": "PUBLIC" })).await.code(), (400, "ValidationException"));
    assert_eq!(stage.get(&URL.replace("hello", "nope")).await.status, 404);
}

#[tokio::test]
async fn the_policy_is_at_hand_with_the_url() {
    let stage = Stage::with_hello().await;
    let made = stage.post(URL, json!({ "AuthType": "NONE" })).await.json();
    let id = made["FunctionUrl"].as_str().expect("a URL")[7..39].to_owned();
    assert!(stage.functions.url(&id).expect("leads somewhere").policy.is_none());
    let visit = |stage: &Stage| {
        let target = stage.functions.url(&id).expect("leads somewhere");
        let facts = access::RequestFacts::default();
        let visitor = stage.access.visitor();
        stage.access.authorize_url(visitor, (ARN, "NONE"), target.policy.as_deref(), facts).is_ok()
    };
    assert!(!visit(&stage));
    for request in [
        json!({ "StatementId": "u", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE" }),
        json!({ "StatementId": "i", "Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": true }),
    ] {
        let mut request = request;
        request["Principal"] = json!("*");
        assert_eq!(stage.post("/2015-03-31/functions/hello/policy", request).await.status, 201);
    }
    assert!(visit(&stage));
}
