//! Published versions: numbers, immutability, packages, policies, what survives.

use super::stage::{ROLE, Stage, zip};
use invoke::Snapshot;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const FUNCTION: &str = "/2015-03-31/functions/hello";
const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:hello";

async fn publish(stage: &Stage, order: Value) -> Value {
    let answer = stage.post(&format!("{FUNCTION}/versions"), order).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

async fn change(stage: &Stage, what: Value) {
    assert_eq!(stage.put(&format!("{FUNCTION}/configuration"), what).await.status, 200);
}

async fn at(stage: &Stage, version: &str) -> Value {
    stage.get(&format!("{FUNCTION}/configuration?Qualifier={version}")).await.json()
}

async fn numbers(stage: &Stage) -> Vec<String> {
    let listed = stage.get(&format!("{FUNCTION}/versions")).await.json();
    let versions = listed["Versions"].as_array().expect("a list").clone();
    versions.iter().map(|version| version["Version"].as_str().expect("a version").to_owned()).collect()
}

#[tokio::test]
async fn what_is_published_stays_as_it_is() {
    let mut stage = Stage::with_hello().await;
    let first = publish(&stage, json!({ "Description": "the first" })).await;
    assert_eq!((&first["Version"], &first["FunctionArn"]), (&json!("1"), &json!(format!("{ARN}:1"))));
    assert_eq!((&first["Description"], &first["State"]), (&json!("the first"), &json!("Active")));
    let latest = at(&stage, "$LATEST").await;
    assert_eq!(latest["Description"], json!(""));
    assert_ne!(first["RevisionId"], latest["RevisionId"]);
    assert_eq!(publish(&stage, json!({})).await, first, "nothing has changed");

    change(&stage, json!({ "Timeout": 77, "Description": "d" })).await;
    let second = publish(&stage, json!({})).await;
    assert_eq!((&second["Version"], &second["Timeout"]), (&json!("2"), &json!(77)));
    assert_eq!(second["Description"], json!("d"));
    let code = json!({ "ZipFile": zip("other code"), "Publish": true });
    let third = stage.put(&format!("{FUNCTION}/code"), code).await.json();
    assert_eq!((&third["Version"], &third["FunctionArn"]), (&json!("3"), &json!(format!("{ARN}:3"))));
    change(&stage, json!({ "Timeout": 78 })).await;
    for restarted in [false, true] {
        assert_eq!(at(&stage, "1").await, first);
        assert_eq!(at(&stage, "2").await, second);
        assert_eq!(at(&stage, "3").await, third);
        assert_eq!(numbers(&stage).await, ["$LATEST", "1", "2", "3"]);
        for (version, code) in [("1", "code"), ("2", "code"), ("3", "other code")] {
            let answer =
                stage.send("POST", &format!("{FUNCTION}:{version}/invocations"), &[], "1".into()).await;
            assert_eq!(answer.headers["x-amz-executed-version"], version);
            let (ran, call) = stage.echo.calls.lock().expect("not poisoned").pop().expect("was called");
            assert_eq!((&*ran.version, &*ran.arn), (version, &*format!("{ARN}:{version}")));
            assert_eq!(call.invoked_arn, format!("{ARN}:{version}"));
            let found = std::fs::read_to_string(ran.code_dir.join("app.py")).expect("its package is there");
            assert_eq!(found, code);
        }
        if !restarted {
            stage.restart().await;
        }
    }
}

#[tokio::test]
async fn preconditions_and_names() {
    let stage = Stage::with_hello().await;
    let versions = format!("{FUNCTION}/versions");
    let latest = at(&stage, "$LATEST").await;
    let stale = stage.post(&versions, json!({ "RevisionId": "x" })).await;
    assert_eq!(stale.code(), (412, "PreconditionFailedException"));
    let other = stage.post(&versions, json!({ "CodeSha256": "x" })).await;
    assert_eq!(other.code(), (400, "InvalidParameterValueException"));
    assert!(other.message().starts_with("CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ("));
    let right = json!({ "CodeSha256": latest["CodeSha256"], "RevisionId": latest["RevisionId"] });
    assert_eq!(publish(&stage, right).await["Version"], json!("1"));
    for missing in ["2", "01", "0", "prod", "18446744073709551616"] {
        for target in
            [format!("{FUNCTION}?Qualifier={missing}"), format!("{FUNCTION}:{missing}/configuration")]
        {
            let answer = stage.get(&target).await;
            assert_eq!(answer.code(), (404, "ResourceNotFoundException"), "{target}");
            assert_eq!(answer.message(), format!("Function not found: {ARN}:{missing}"));
        }
    }
    for (target, body) in [
        (format!("{FUNCTION}:1/configuration"), json!({ "Timeout": 5 })),
        (format!("{FUNCTION}:1/code"), json!({ "ZipFile": zip("x") })),
    ] {
        let answer = stage.put(&target, body).await;
        assert_eq!(answer.code(), (400, "InvalidParameterValueException"), "{target}");
    }
    for (target, member) in [("hello:1/url", "'functionName'"), ("hello/url?Qualifier=1", "'qualifier'")] {
        let url = stage.post(&format!("/2021-10-31/functions/{target}"), json!({ "AuthType": "NONE" })).await;
        assert_eq!(url.code(), (400, "ValidationException"), "only aliases have URLs: {target}");
        assert!(url.message().contains(&format!("at {member} failed")), "{url:?}");
    }
    for other in ["01", "0", "2", "18446744073709551616"] {
        assert_eq!(stage.delete(&format!("{FUNCTION}?Qualifier={other}")).await.status, 204, "{other}");
    }
    let latest = stage.delete(&format!("{FUNCTION}?Qualifier=$LATEST")).await;
    assert_eq!(latest.code(), (400, "InvalidParameterValueException"));
    assert_eq!(numbers(&stage).await, ["$LATEST", "1"], "no other spelling of it deletes it");
    assert_eq!(stage.get(&format!("/2017-03-31/tags/{ARN}:1")).await.code().0, 400);
}

#[tokio::test]
async fn numbers_are_never_given_twice() {
    let mut stage = Stage::with_hello().await;
    publish(&stage, json!({})).await;
    change(&stage, json!({ "Timeout": 5 })).await;
    publish(&stage, json!({})).await;
    assert_eq!(stage.delete(&format!("{FUNCTION}:2")).await.status, 204);
    assert_eq!(
        stage.delete(&format!("{FUNCTION}?Qualifier=2")).await.status,
        204,
        "it is no error, as on AWS"
    );
    assert_eq!(numbers(&stage).await, ["$LATEST", "1"]);
    let retired = stage.echo.retired.lock().expect("not poisoned").pop();
    assert_eq!(retired, Some(("hello:2".into(), None)));
    stage.restart().await;
    assert_eq!(publish(&stage, json!({})).await["Version"], json!("3"), "the last one is gone");
    assert_eq!(stage.delete(FUNCTION).await.status, 204);
    assert_eq!(stage.get(&format!("{FUNCTION}?Qualifier=3")).await.status, 404);
    stage.restart().await;
    let made = stage.create("hello", json!({ "Publish": true })).await.json();
    assert_eq!((&made["Version"], &made["FunctionArn"]), (&json!("4"), &json!(ARN)));
    assert_eq!(numbers(&stage).await, ["$LATEST", "4"]);
}

#[tokio::test]
async fn a_package_stays_as_long_as_a_version_has_it() {
    let mut stage = Stage::with_hello().await;
    publish(&stage, json!({})).await;
    let packages = |stage: &Stage| std::fs::read_dir(stage.data.path().join("code")).expect("exists").count();
    let code = json!({ "ZipFile": zip("other code") });
    assert_eq!(stage.put(&format!("{FUNCTION}/code"), code).await.status, 200);
    assert_eq!(packages(&stage), 2);
    stage.restart().await;
    assert_eq!(packages(&stage), 2);
    let usage = stage.get("/2016-08-19/account-settings").await.json()["AccountUsage"].clone();
    let size = "code".len() + "other code".len();
    assert_eq!(usage, json!({ "TotalCodeSize": size, "FunctionCount": 1 }));
    assert_eq!(stage.delete(&format!("{FUNCTION}:1")).await.status, 204);
    for (left, kept) in [("0".repeat(64), false), (format!("{}.partial-1-0", "0".repeat(64)), true)] {
        let left = stage.data.path().join("code").join(left);
        std::fs::create_dir(&left).expect("makes");
        stage.restart().await;
        assert_eq!(left.exists(), kept, "nobody uses it, or it may be about to be used");
        left.exists().then(|| std::fs::remove_dir(&left).expect("removes"));
    }
    assert_eq!(packages(&stage), 1);
    assert_eq!(at(&stage, "$LATEST").await["CodeSize"], json!("other code".len()));
}

#[tokio::test]
async fn lists_have_pages() {
    let stage = Stage::with_hello().await;
    for timeout in 10..13 {
        change(&stage, json!({ "Timeout": timeout })).await;
        publish(&stage, json!({})).await;
    }
    assert_eq!(stage.create("other", json!({ "Publish": true })).await.status, 201);
    let all = "/2015-03-31/functions?FunctionVersion=ALL".to_owned();
    let cases = [
        (format!("{FUNCTION}/versions?"), "Versions", vec!["hello:$LATEST", "hello:1", "hello:2", "hello:3"]),
        ("/2015-03-31/functions?".into(), "Functions", vec!["hello", "other"]),
        (
            all + "&",
            "Functions",
            vec!["hello:$LATEST", "hello:1", "hello:2", "hello:3", "other:$LATEST", "other:1"],
        ),
    ];
    for (target, member, expected) in cases {
        for page in 1..=expected.len() {
            let (mut found, mut marker) = (Vec::new(), String::new());
            loop {
                let answer = stage.get(&format!("{target}MaxItems={page}&Marker={marker}")).await.json();
                let items = answer[member].as_array().expect("a list").clone();
                assert!(items.len() <= page);
                found.extend(
                    items.iter().map(|item| item["FunctionArn"].as_str().expect("an ARN").to_owned()),
                );
                match answer["NextMarker"].as_str() {
                    Some(next) => marker = next.into(),
                    None => break,
                }
            }
            let prefix = ARN.strip_suffix("hello").expect("it ends so");
            let names: Vec<_> = found.iter().filter_map(|arn| arn.strip_prefix(prefix)).collect();
            assert_eq!(names, expected, "{target} {page}");
        }
    }
    let bad = stage.get(&format!("{FUNCTION}/versions?Marker=%2A")).await;
    assert_eq!(bad.code(), (400, "InvalidParameterValueException"));
}

#[tokio::test]
async fn a_version_has_its_own_policy() {
    let mut stage = Stage::with_hello().await;
    publish(&stage, json!({})).await;
    let statement = json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*" });
    let policy = |version: &str| format!("{FUNCTION}/policy?Qualifier={version}");
    assert_eq!(stage.post(&policy("1"), statement.clone()).await.status, 201);
    assert_eq!(stage.post(&policy("1"), statement.clone()).await.code().0, 409);
    assert_eq!(stage.post(&policy("2"), statement.clone()).await.code().0, 404);
    assert_eq!(stage.post(&policy("$LATEST"), statement).await.code().0, 400);
    stage.restart().await;
    let text = stage.get(&policy("1")).await.json()["Policy"].as_str().expect("a text").to_owned();
    assert!(text.contains(&format!("{ARN}:1")), "{text}");
    assert_eq!(stage.get(&format!("{FUNCTION}/policy")).await.status, 404, "the function has none");
    assert_eq!(at(&stage, "1").await["Version"], json!("1"));
    assert_eq!(stage.delete(&format!("{FUNCTION}/policy/s?Qualifier=1")).await.status, 204);
    assert_eq!(stage.get(&policy("1")).await.status, 404);
}

#[tokio::test]
async fn instances_of_versions_are_promised_within_the_functions_reservation() {
    let mut stage = Stage::with_hello().await;
    publish(&stage, json!({})).await;
    let reserved = json!({ "ReservedConcurrentExecutions": 3 });
    assert_eq!(stage.put("/2017-10-31/functions/hello/concurrency", reserved).await.status, 200);
    let target =
        |version: &str| format!("/2019-09-30/functions/hello/provisioned-concurrency?Qualifier={version}");
    let order = |count: u32| json!({ "ProvisionedConcurrentExecutions": count });
    for (version, count, status) in
        [("1", 2, 202), ("$LATEST", 2, 400), ("$LATEST", 1, 202), ("1", 3, 400), ("1", 1, 202), ("2", 1, 404)]
    {
        let answer = stage.put(&target(version), order(count)).await;
        assert_eq!(answer.status, status, "{version} {count}: {answer:?}");
    }
    let promised = |stage: &Stage| stage.echo.promised.lock().expect("not poisoned").clone();
    let all: BTreeMap<String, u32> = [("hello".to_owned(), 1), ("hello:1".to_owned(), 1)].into();
    assert_eq!(promised(&stage), all);
    let tags = json!({ "Tags": { "dayfly:egress": "all" } });
    assert_eq!(stage.post(&format!("/2017-03-31/tags/{ARN}"), tags).await.status, 204);
    let retired = stage.echo.retired.lock().expect("not poisoned").clone();
    assert!(retired.ends_with(&[("hello".into(), None), ("hello:1".into(), None)]), "{retired:?}");
    assert_eq!(promised(&stage), all, "they are started anew");
    stage.restart().await;
    let listed = stage.get("/2019-09-30/functions/hello/provisioned-concurrency?List=ALL").await.json();
    let listed = listed["ProvisionedConcurrencyConfigs"].as_array().expect("a list").clone();
    let arns: Vec<_> = listed.iter().map(|config| config["FunctionArn"].clone()).collect();
    assert_eq!(arns, [json!(format!("{ARN}:$LATEST")), json!(format!("{ARN}:1"))]);
    assert_eq!(stage.delete(&target("1")).await.status, 204);
    assert_eq!(stage.get(&target("1")).await.status, 404);
    assert_eq!(stage.put(&target("1"), order(1)).await.status, 202);
    assert_eq!(stage.delete(&format!("{FUNCTION}:1")).await.status, 204);
    assert_eq!(promised(&stage), [("hello".to_owned(), 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_publications_each_number_is_given_once() {
    let stage = std::sync::Arc::new(Stage::with_hello().await);
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let stage = std::sync::Arc::clone(&stage);
            tokio::spawn(async move {
                let code = json!({ "ZipFile": zip(&format!("code {n}")), "Publish": true });
                let answer = stage.put(&format!("{FUNCTION}/code"), code).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                answer.json()
            })
        })
        .collect();
    let mut found = Vec::new();
    for task in tasks {
        let published = task.await.expect("ends");
        let number = published["Version"].as_str().expect("a version").to_owned();
        assert_eq!(at(&stage, &number).await["CodeSha256"], published["CodeSha256"]);
        found.push(number);
    }
    found.sort();
    assert_eq!(found, ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_deletes_does_not_disturb_whoever_publishes() {
    const TASKS: usize = 6;
    const ROUNDS: usize = 8;
    let stage = std::sync::Arc::new(Stage::with_hello().await);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let stage = std::sync::Arc::clone(&stage);
            tokio::spawn(async move {
                let mut given = Vec::new();
                for round in 0..ROUNDS {
                    let code = json!({ "ZipFile": zip(&format!("code {task} {round}")), "Publish": true });
                    let answer = stage.put(&format!("{FUNCTION}/code"), code).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let number = answer.json()["Version"].as_str().expect("a version").to_owned();
                    let gone = stage.delete(&format!("{FUNCTION}:{number}")).await;
                    assert_eq!(gone.status, 204, "{gone:?}");
                    given.push(number);
                }
                given
            })
        })
        .collect();
    let mut given = BTreeSet::new();
    for task in tasks {
        given.extend(task.await.expect("ends"));
    }
    assert_eq!(given.len(), TASKS * ROUNDS, "{given:?}");
    assert_eq!(numbers(&stage).await, ["$LATEST"]);
    let packages = std::fs::read_dir(stage.data.path().join("code")).expect("exists").count();
    assert_eq!(packages, 1, "those of versions that are gone are, too");
}

#[tokio::test]
async fn a_version_waits_for_its_snapshot() {
    let stage = Stage::with_hello().await;
    change(&stage, json!({ "SnapStart": { "ApplyOn": "PublishedVersions" } })).await;
    let snapshot = |now: Snapshot| *stage.echo.snapshot.lock().expect("not poisoned") = Some(now);
    let target = format!("{FUNCTION}:1/invocations");
    let call = || stage.send("POST", &target, &[], "1".into());
    let shown = |version: Value| {
        let status = version["SnapStart"]["OptimizationStatus"].as_str().map(str::to_owned);
        (version["State"].clone(), status.expect("a status"), version["StateReasonCode"].clone())
    };
    snapshot(Snapshot::Making);
    let published = publish(&stage, json!({})).await;
    assert_eq!(shown(published), (json!("Pending"), "Off".into(), json!("Creating")));
    let early = call().await;
    assert_eq!(early.code(), (409, "SnapStartNotReadyException"));
    assert_eq!(stage.send("POST", &format!("{FUNCTION}/invocations"), &[], "1".into()).await.status, 200);
    assert_eq!(shown(at(&stage, "$LATEST").await), (json!("Active"), "Off".into(), Value::Null));
    snapshot(Snapshot::Ready);
    assert_eq!(shown(at(&stage, "1").await), (json!("Active"), "On".into(), Value::Null));
    assert_eq!(call().await.status, 200);
    snapshot(Snapshot::Making);
    assert_eq!(
        shown(at(&stage, "1").await),
        (json!("Active"), "Off".into(), Value::Null),
        "it was ready once"
    );
    assert_eq!(call().await.status, 200);
    snapshot(Snapshot::Missing("it cannot be forked: it started 1 threads".into()));
    let refused = at(&stage, "1").await;
    let why = "SnapStart: instances start without a snapshot: it cannot be forked: it started 1 threads";
    assert_eq!(refused["StateReason"], json!(why));
    assert_eq!(shown(refused), (json!("Active"), "Off".into(), Value::Null));
}

#[tokio::test]
async fn data_of_a_release_without_versions_opens() {
    let mut stage = Stage::with_hello().await;
    let sha256 = stage.get(FUNCTION).await.json()["Code"]["Location"].as_str().expect("a URL").to_owned();
    let sha256 = sha256.split("/code/").nth(1).and_then(|rest| rest.split('?').next()).expect("a hash");
    let row = json!({
        "name": "old", "tags": {}, "revision": "r-1", "modified_us": 1,
        "config": {
            "runtime": "python3.12", "handler": "app.handler", "role": ROLE, "description": "", "timeout_s": 3,
            "memory_mb": 128, "tmp_mb": 512, "environment": {}, "log_group": null,
        },
        "code": { "sha256": sha256, "zip_bytes": 4 },
    });
    let write = store::Write::Put(b"functions/function/old".to_vec(), row.to_string().into());
    stage.store.commit(Vec::new(), vec![write]).await.expect("writes");
    stage.restart().await;
    let old = stage.get("/2015-03-31/functions/old/configuration").await.json();
    assert_eq!((&old["Version"], &old["RevisionId"]), (&json!("$LATEST"), &json!("r-1")));
    assert_eq!(
        stage.post("/2015-03-31/functions/old/versions", json!({})).await.json()["Version"],
        json!("1")
    );
}
