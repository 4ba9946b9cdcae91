//! Resource policies.

use super::stage::{ARN, Stage};
use access::policy::Document;
use serde_json::{Value, json};

const POLICY: &str = "/2015-03-31/functions/hello/policy";

#[tokio::test]
async fn statements_look_as_on_aws() {
    let stage = Stage::with_hello().await;
    let rows: &[(Value, Value, Value)] = &[
        (json!({ "Principal": "*" }), json!("*"), Value::Null),
        (
            json!({ "Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::b", "SourceAccount": "111111111111" }),
            json!({ "Service": "s3.amazonaws.com" }),
            json!({ "StringEquals": { "AWS:SourceAccount": "111111111111" },
                    "ArnLike": { "AWS:SourceArn": "arn:aws:s3:::b" } }),
        ),
        (
            json!({ "Principal": "111111111111" }),
            json!({ "AWS": "arn:aws:iam::111111111111:root" }),
            Value::Null,
        ),
        (
            json!({ "Principal": "arn:aws:iam::000000000000:role/r", "PrincipalOrgID": "o-0123456789" }),
            json!({ "AWS": "arn:aws:iam::000000000000:role/r" }),
            json!({ "StringEquals": { "aws:PrincipalOrgID": "o-0123456789" } }),
        ),
        (
            json!({ "Principal": "*", "InvokedViaFunctionUrl": true }),
            json!("*"),
            json!({ "Bool": { "lambda:InvokedViaFunctionUrl": "true" } }),
        ),
        (
            json!({ "Principal": "*", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE" }),
            json!("*"),
            json!({ "StringEquals": { "lambda:FunctionUrlAuthType": "NONE" } }),
        ),
    ];
    for (index, (changes, principal, condition)) in rows.iter().enumerate() {
        let mut request = json!({ "StatementId": format!("s{index}"), "Action": "lambda:InvokeFunction" });
        request.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        let answer = stage.post(POLICY, request.clone()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let statement: Value =
            serde_json::from_str(answer.json()["Statement"].as_str().expect("text")).expect("JSON");
        let mut wanted = json!({
            "Sid": format!("s{index}"), "Effect": "Allow", "Principal": principal, "Action": request["Action"],
            "Resource": ARN, "Condition": condition,
        });
        if condition.is_null() {
            wanted.as_object_mut().expect("an object").remove("Condition");
        }
        assert_eq!(statement, wanted);
    }
    let policy = stage.get(POLICY).await.json();
    let text = policy["Policy"].as_str().expect("text");
    assert!(
        text.starts_with(
            r#"{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"s0","Effect":"Allow","#
        )
    );
    let document: Document = serde_json::from_str(text).expect("a policy");
    assert_eq!(document.statement.len(), rows.len());
    let name = model::FunctionName::parse("hello").expect("a name");
    assert_eq!(stage.functions.policy(&name, None).as_deref(), Some(&document));
}

#[tokio::test]
async fn statements_come_and_go_by_revision() {
    let mut stage = Stage::with_hello().await;
    assert_eq!(stage.get(POLICY).await.code(), (404, "ResourceNotFoundException"));
    let add = |id: &str, revision: Option<&str>| {
        let mut request = json!({ "StatementId": id, "Action": "lambda:InvokeFunction", "Principal": "*" });
        if let Some(revision) = revision {
            request["RevisionId"] = json!(revision);
        }
        request
    };
    assert_eq!(stage.post(POLICY, add("a", Some("x"))).await.code(), (412, "PreconditionFailedException"));
    assert_eq!(stage.post(POLICY, add("a", None)).await.status, 201);
    let again = stage.post(POLICY, add("a", None)).await;
    assert_eq!(again.code(), (409, "ResourceConflictException"));
    assert!(again.message().starts_with("The statement id (a) provided already exists."));
    stage.restart().await;
    let revision = stage.get(POLICY).await.json()["RevisionId"].as_str().expect("text").to_owned();
    assert_eq!(stage.post(POLICY, add("b", Some(&revision))).await.status, 201);
    let stale = stage.delete(&format!("{POLICY}/a?RevisionId={revision}")).await;
    assert_eq!(stale.code(), (412, "PreconditionFailedException"));
    assert_eq!(stage.delete(&format!("{POLICY}/a")).await.status, 204);
    assert_eq!(stage.delete(&format!("{POLICY}/a")).await.code(), (404, "ResourceNotFoundException"));
    assert_eq!(stage.delete(&format!("{POLICY}/b")).await.status, 204);
    assert_eq!(stage.get(POLICY).await.status, 404, "a policy without statements is none");
    assert_eq!(stage.delete(&format!("{POLICY}/b")).await.status, 404);
}

#[tokio::test]
async fn statements_that_make_no_sense_are_refused() {
    let stage = Stage::with_hello().await;
    let invalid = "InvalidParameterValueException";
    for (changes, code) in [
        (json!({ "Principal": "somebody" }), invalid),
        (json!({ "Principal": "*", "FunctionUrlAuthType": "NONE" }), invalid),
        (
            json!({ "Principal": "*", "Action": "lambda:InvokeFunctionUrl", "InvokedViaFunctionUrl": true }),
            invalid,
        ),
        (json!({ "Principal": "*", "Action": "s3:GetObject" }), "ValidationException"),
        (json!({ "Principal": "*", "StatementId": "a b" }), "ValidationException"),
    ] {
        let mut request = json!({ "StatementId": "s", "Action": "lambda:InvokeFunction" });
        request.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        let answer = stage.post(POLICY, request).await;
        assert_eq!(answer.code(), (400, code), "{changes}");
    }
    let latest = json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*" });
    assert_eq!(stage.post(&format!("{POLICY}?Qualifier=$LATEST"), latest.clone()).await.code().1, invalid);
    assert_eq!(stage.post(&POLICY.replace("hello", "nope"), latest).await.status, 404);
}

#[tokio::test]
async fn policies_have_a_size() {
    let stage = Stage::with_hello().await;
    for n in 0..20 {
        let source = format!("arn:aws:s3:::{}", "b".repeat(2000));
        let request = json!({
            "StatementId": format!("s{n}"), "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
            "SourceArn": source,
        });
        let answer = stage.post(POLICY, request).await;
        if answer.status != 201 {
            assert_eq!(answer.code().1, "PolicyLengthExceededException");
            assert!(answer.message().ends_with("is bigger than the limit (20480)."), "{}", answer.message());
            return;
        }
    }
    panic!("the policy may grow without end");
}
