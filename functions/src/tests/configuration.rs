//! Creating, reading, listing; and every way in which a request is refused.

use super::stage::{ARN, ROLE, Stage, zip};
use serde_json::{Value, json};

const FUNCTION: &str = "/2015-03-31/functions/hello";

#[tokio::test]
async fn a_new_function_is_active_at_once() {
    let stage = Stage::new().await;
    let made = stage.create("hello", json!({ "Environment": { "Variables": { "KEY": "value" } } })).await;
    assert_eq!(made.status, 201);
    let json = made.json();
    for (member, value) in [
        ("FunctionName", json!("hello")),
        ("FunctionArn", json!(ARN)),
        ("Runtime", json!("python3.12")),
        ("Role", json!(ROLE)),
        ("Handler", json!("app.handler")),
        ("CodeSize", json!(4)),
        ("CodeSha256", json!("VpTQii5T/8rgwxA+Wtb2B2q9lg6x+KVldwQLwQKPcCs=")),
        ("Description", json!("")),
        ("Timeout", json!(3)),
        ("MemorySize", json!(128)),
        ("Version", json!("$LATEST")),
        ("State", json!("Active")),
        ("LastUpdateStatus", json!("Successful")),
        ("PackageType", json!("Zip")),
        ("EphemeralStorage", json!({ "Size": 512 })),
        ("Environment", json!({ "Variables": { "KEY": "value" } })),
        ("TracingConfig", json!({ "Mode": "PassThrough" })),
        ("LoggingConfig", json!({ "LogFormat": "Text", "LogGroup": "/aws/lambda/hello" })),
        ("LastModified", json!("2026-01-01T00:00:00.000+0000")),
    ] {
        assert_eq!(json[member], value, "{member}");
    }
    assert_eq!(json["RevisionId"].as_str().map(str::len), Some(36));
    let got = stage.get(&format!("{FUNCTION}/configuration")).await;
    assert_eq!((got.status, got.json()), (200, json));
}

#[tokio::test]
async fn every_form_of_a_name_finds_it() {
    let stage = Stage::with_hello().await;
    let encoded = ARN.replace(':', "%3A");
    for (target, arn) in [
        (FUNCTION.to_owned(), ARN.to_owned()),
        (format!("{FUNCTION}:$LATEST"), format!("{ARN}:$LATEST")),
        (format!("{FUNCTION}?Qualifier=$LATEST"), format!("{ARN}:$LATEST")),
        ("/2015-03-31/functions/000000000000%3Afunction%3Ahello".into(), ARN.into()),
        (format!("/2015-03-31/functions/{encoded}"), ARN.into()),
        (format!("/2015-03-31/functions/{encoded}:$LATEST"), format!("{ARN}:$LATEST")),
    ] {
        let answer = stage.get(&target).await;
        assert_eq!(answer.status, 200, "{target} {answer:?}");
        assert_eq!(answer.json()["Configuration"]["FunctionArn"], json!(arn), "{target}");
    }
    for (target, code, message) in [
        (
            "nope",
            "ResourceNotFoundException",
            format!("Function not found: {}", ARN.replace("hello", "nope")),
        ),
        ("hello?Qualifier=7", "ResourceNotFoundException", format!("Function not found: {ARN}:7")),
        ("hello:prod", "ResourceNotFoundException", format!("Function not found: {ARN}:prod")),
        (
            "arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Ahello",
            "ResourceNotFoundException",
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')".into(),
        ),
        (
            "hello:$LATEST?Qualifier=7",
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.".into(),
        ),
    ] {
        let answer = stage.get(&format!("/2015-03-31/functions/{target}")).await;
        assert_eq!((answer.code().1, answer.message()), (code, message), "{target}");
    }
}

/// A change to an ordinary request, and the code and part of the message that answer it.
type Refusal = (Value, &'static str, &'static str);

const INVALID: &str = "InvalidParameterValueException";
const VALIDATION: &str = "ValidationException";
const UNSERVED: &str = "NotImplementedException";

async fn check_refused(rows: &[Refusal]) {
    let stage = Stage::new().await;
    for (changes, code, message) in rows {
        let answer = stage.create("hello", changes.clone()).await;
        assert_eq!(answer.code().1, *code, "{changes} {answer:?}");
        assert!(answer.message().contains(message), "{changes}: {}", answer.message());
    }
    assert_eq!(stage.get(FUNCTION).await.status, 404, "nothing was made");
    let left = std::fs::read_dir(stage.data.path().join("code")).expect("exists").count();
    assert_eq!(left, 0, "no package was left");
}

#[tokio::test]
async fn bad_settings_say_what_is_wrong() {
    let other = if cfg!(target_arch = "aarch64") { "x86_64" } else { "arm64" };
    let environment = |name: &str, value: &str| json!({ "Environment": { "Variables": { name: value } } });
    check_refused(&[
        (json!({ "Runtime": null }), INVALID, "Runtime and Handler are mandatory"),
        (json!({ "Handler": null }), INVALID, "Runtime and Handler are mandatory"),
        (json!({ "Runtime": "java11" }), INVALID, "runtime \"java11\" is not served"),
        (json!({ "Runtime": "cobol" }), VALIDATION, "Value 'cobol' at 'runtime' failed to satisfy"),
        (json!({ "Role": "me" }), VALIDATION, "Value 'me' at 'role' failed to satisfy constraint"),
        (
            json!({ "Role": format!("{ROLE}{}", "r".repeat(640)) }),
            VALIDATION,
            "length less than or equal to 640",
        ),
        (json!({ "MemorySize": 64 }), VALIDATION, "greater than or equal to 128"),
        (json!({ "MemorySize": 20000 }), INVALID, "'MemorySize' value failed to satisfy constraint"),
        (json!({ "Timeout": 0 }), VALIDATION, "greater than or equal to 1"),
        (json!({ "Timeout": 901 }), VALIDATION, "Value '901' at 'timeout' failed to satisfy constraint"),
        (json!({ "EphemeralStorage": { "Size": 20000 } }), VALIDATION, "less than or equal to 10240"),
        (environment("AWS_REGION", "x"), INVALID, "Reserved keys used in this request: AWS_REGION"),
        (environment("BIG", &"x".repeat(4096)), INVALID, "exceeded the 4KB limit"),
        (environment("NUL", "a\0b"), INVALID, "contains a NUL character"),
        (json!({ "Architectures": [other] }), INVALID, "code only"),
        (json!({ "Tags": { "aws:x": "y" } }), INVALID, "aws: prefixed tag key names"),
        (json!({ "FunctionName": "hello:7" }), INVALID, "without a version"),
        (json!({ "FunctionName": "a".repeat(65) }), VALIDATION, "at 'functionName' failed to satisfy"),
    ])
    .await;
}

#[tokio::test]
async fn bad_packages_say_what_is_wrong() {
    let archive = |text: &str| json!({ "Code": { "ZipFile": zip(text) } });
    check_refused(&[
        (json!({ "Code": {} }), INVALID, "Please provide a source for function code."),
        (archive(""), INVALID, "Uploaded file must be a non-empty zip"),
        (archive("damaged"), INVALID, "Could not unzip uploaded file."),
        (archive("bomb"), INVALID, "Unzipped size must be smaller than 262144000 bytes"),
        (archive("full disk"), "CodeStorageExceededException", "no space is left"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_not_served_is_named() {
    let layer = "arn:aws:lambda:us-east-1:000000000000:layer:l:1";
    check_refused(&[
        (
            json!({ "Code": { "S3Bucket": "bucket", "S3Key": "k" } }),
            UNSERVED,
            "Code.S3Bucket is not implemented",
        ),
        (json!({ "Code": { "ImageUri": "x" } }), UNSERVED, "Code.ImageUri is not implemented"),
        (json!({ "Layers": [layer] }), UNSERVED, "Layers is not implemented"),
        (json!({ "PublishTo": "LATEST_PUBLISHED" }), UNSERVED, "PublishTo is not implemented"),
        (
            json!({ "TracingConfig": { "Mode": "Active" } }),
            UNSERVED,
            "TracingConfig Active is not implemented",
        ),
    ])
    .await;
}

#[tokio::test]
async fn empty_forms_of_what_is_not_served_are_fine() {
    let stage = Stage::new().await;
    let answer = stage
        .create(
            "hello",
            json!({
                "VpcConfig": { "SubnetIds": [], "SecurityGroupIds": [] }, "DeadLetterConfig": {}, "Layers": [],
                "ImageConfig": {}, "FileSystemConfigs": [], "TracingConfig": { "Mode": "PassThrough" },
                "SnapStart": { "ApplyOn": "None" }, "LoggingConfig": { "LogGroup": "/my/group" }, "Publish": false,
            }),
        )
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json()["LoggingConfig"]["LogGroup"], json!("/my/group"));
}

#[tokio::test]
async fn lists_come_in_pages_and_survive_a_restart() {
    let mut stage = Stage::new().await;
    for n in [3, 1, 2, 5, 4] {
        assert_eq!(stage.create(&format!("f{n}"), json!({})).await.status, 201);
    }
    stage.restart().await;
    let (mut names, mut marker) = (Vec::new(), String::new());
    loop {
        let answer = stage.get(&format!("/2015-03-31/functions?MaxItems=2&Marker={marker}")).await.json();
        for function in answer["Functions"].as_array().expect("a list") {
            names.push(function["FunctionName"].as_str().expect("a name").to_owned());
            assert!(function.get("State").is_none_or(Value::is_null));
        }
        match answer["NextMarker"].as_str() {
            Some(next) => marker = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, ["f1", "f2", "f3", "f4", "f5"]);
    let bad = stage.get("/2015-03-31/functions?Marker=%21").await;
    assert_eq!(bad.code(), (400, "InvalidParameterValueException"));
    let account = stage.get("/2016-08-19/account-settings").await.json();
    assert_eq!(account["AccountUsage"], json!({ "TotalCodeSize": 20, "FunctionCount": 5 }));
    assert_eq!(account["AccountLimit"]["ConcurrentExecutions"], json!(1000));
}

#[tokio::test]
async fn tags() {
    let stage = Stage::with_hello().await;
    let target = format!("/2017-03-31/tags/{}", ARN.replace(':', "%3A"));
    assert_eq!(stage.post(&target, json!({ "Tags": { "a": "1", "b": "2" } })).await.status, 204);
    assert_eq!(stage.get(FUNCTION).await.json()["Tags"], json!({ "a": "1", "b": "2" }));
    assert_eq!(stage.delete(&format!("{target}?tagKeys=a&tagKeys=c")).await.status, 204);
    assert_eq!(stage.get(&target).await.json(), json!({ "Tags": { "b": "2" } }));
    let many: serde_json::Map<String, Value> = (0..50).map(|n| (format!("k{n}"), json!("v"))).collect();
    assert_eq!(stage.post(&target, json!({ "Tags": many })).await.code().1, "InvalidParameterValueException");
    assert_eq!(stage.get(&target).await.json(), json!({ "Tags": { "b": "2" } }));
    let missing = stage.get(&target.replace("hello", "nope")).await;
    assert_eq!(missing.code(), (404, "ResourceNotFoundException"));
}
