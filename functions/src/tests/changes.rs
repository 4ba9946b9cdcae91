//! Updates, revisions, deletion; alone and many at once.

use super::stage::{Stage, zip};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;

const FUNCTION: &str = "/2015-03-31/functions/hello";

#[tokio::test]
async fn updates_change_the_revision_and_retire_the_old_one() {
    let stage = Stage::with_hello().await;
    let first = stage.get(&format!("{FUNCTION}/configuration")).await.json();
    let revision = first["RevisionId"].as_str().expect("a revision").to_owned();
    let change = json!({ "MemorySize": 256, "Timeout": 10, "RevisionId": revision });
    let second = stage.put(&format!("{FUNCTION}/configuration"), change.clone()).await;
    assert_eq!(second.status, 200, "{second:?}");
    let json = second.json();
    assert_eq!((&json["MemorySize"], &json["Timeout"]), (&json!(256), &json!(10)));
    assert_eq!(json["Handler"], json!("app.handler"), "what was not named stays");
    assert_ne!(json["RevisionId"], json!(revision));
    let stale = stage.put(&format!("{FUNCTION}/configuration"), change).await;
    assert_eq!(stale.code(), (412, "PreconditionFailedException"));
    assert_eq!(
        stale.message(),
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
         retrieve the latest Revision Id"
    );
    let retired = stage.echo.retired.lock().expect("not poisoned").clone();
    let kept = json["RevisionId"].as_str().map(Into::into);
    assert_eq!(retired, [("hello".to_owned(), kept)]);
}

#[tokio::test]
async fn a_change_is_answered_when_its_version_is_prepared() {
    let stage = Stage::with_hello().await;
    let prepared = || stage.echo.prepared.lock().expect("not poisoned").clone();
    let first = stage.get(&format!("{FUNCTION}/configuration")).await.json()["RevisionId"].clone();
    assert_eq!(prepared(), [first.as_str().expect("a revision")]);
    let url = stage.post("/2021-10-31/functions/hello/url", json!({ "AuthType": "NONE" })).await;
    assert_eq!((url.status, prepared().len()), (201, 1), "it is the same version");
    let changed = stage.put(&format!("{FUNCTION}/configuration"), json!({ "Timeout": 10 })).await.json();
    assert_eq!(prepared().last().map(String::as_str), changed["RevisionId"].as_str());
}

#[tokio::test]
async fn code_changes_whole_or_not_at_all() {
    let stage = Stage::with_hello().await;
    let before = stage.get(&format!("{FUNCTION}/configuration")).await.json();
    let code = format!("{FUNCTION}/code");
    let same = stage.put(&code, json!({ "ZipFile": zip("code") })).await;
    assert_eq!((same.status, &same.json()["CodeSha256"]), (200, &before["CodeSha256"]));
    assert_ne!(same.json()["RevisionId"], before["RevisionId"], "the same archive again is a new revision");
    let before = stage.get(&format!("{FUNCTION}/configuration")).await.json();

    let dry = stage.put(&code, json!({ "ZipFile": zip("other code"), "DryRun": true })).await.json();
    assert_ne!(dry["CodeSha256"], before["CodeSha256"]);
    assert_eq!(stage.get(&format!("{FUNCTION}/configuration")).await.json(), before);

    let bad = stage.put(&code, json!({ "ZipFile": zip("damaged") })).await;
    assert_eq!(bad.code(), (400, "InvalidParameterValueException"));
    let stale = stage.put(&code, json!({ "ZipFile": zip("other code"), "RevisionId": "x" })).await;
    assert_eq!(stale.code(), (412, "PreconditionFailedException"));
    assert_eq!(stage.get(&format!("{FUNCTION}/configuration")).await.json(), before);

    let changed = stage.put(&code, json!({ "ZipFile": zip("other code") })).await.json();
    assert_eq!(changed["CodeSha256"], dry["CodeSha256"]);
    assert_eq!(changed["LastUpdateStatus"], json!("Successful"));
    assert_ne!(changed["RevisionId"], before["RevisionId"]);
}

#[tokio::test]
async fn deletion_takes_everything_along() {
    let mut stage = Stage::with_hello().await;
    let url = stage.post("/2021-10-31/functions/hello/url", json!({ "AuthType": "NONE" })).await;
    assert_eq!(url.status, 201, "{url:?}");
    let permission = json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*" });
    assert_eq!(stage.post(&format!("{FUNCTION}/policy"), permission).await.status, 201);
    assert_eq!(stage.delete(&format!("{FUNCTION}?Qualifier=$LATEST")).await.code().0, 400);
    assert_eq!(
        stage.delete(&format!("{FUNCTION}?Qualifier=1")).await.status,
        204,
        "it is no error, as on AWS"
    );
    assert_eq!(stage.delete(FUNCTION).await.status, 204);
    assert_eq!(stage.delete(FUNCTION).await.code(), (404, "ResourceNotFoundException"));
    for restarted in [false, true] {
        assert_eq!(stage.create("hello", json!({})).await.status, 201);
        assert_eq!(stage.get(&format!("{FUNCTION}/policy")).await.status, 404);
        assert_eq!(stage.get("/2021-10-31/functions/hello/url").await.status, 404);
        assert_eq!(stage.delete(FUNCTION).await.status, 204);
        if !restarted {
            stage.restart().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_creations_one_wins() {
    let stage = Arc::new(Stage::new().await);
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move {
                stage.create("hello", json!({ "Code": { "ZipFile": zip(&format!("code {n}")) } })).await
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        let answer = task.await.expect("ends");
        match answer.status {
            201 => won += 1,
            _ => {
                assert_eq!(answer.code(), (409, "ResourceConflictException"));
                assert_eq!(answer.message(), "Function already exist: hello");
            }
        }
    }
    assert_eq!(won, 1);
    stage.functions.sweep().await;
    let packages = std::fs::read_dir(stage.data.path().join("code")).expect("exists").count();
    assert_eq!(packages, 1, "the losers' packages are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_updates_never_apply_by_half() {
    let stage = Arc::new(Stage::with_hello().await);
    let tasks: Vec<_> = (1..=12)
        .map(|n| {
            let stage = Arc::clone(&stage);
            tokio::spawn(async move {
                let target = format!("{FUNCTION}/configuration");
                stage
                    .put(
                        &target,
                        json!({ "MemorySize": 128 + n, "Timeout": n, "Description": n.to_string() }),
                    )
                    .await
            })
        })
        .collect();
    let mut revisions = HashSet::new();
    for task in tasks {
        let answer = task.await.expect("ends");
        assert_eq!(answer.status, 200, "{answer:?}");
        revisions.insert(answer.json()["RevisionId"].to_string());
    }
    assert!(!revisions.is_empty());
    let last = stage.get(&format!("{FUNCTION}/configuration")).await.json();
    let n = last["Timeout"].as_i64().expect("a number");
    assert_eq!((&last["MemorySize"], &last["Description"]), (&json!(128 + n), &json!(n.to_string())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_and_recreating_under_load_leaves_one_truth() {
    let mut stage = Stage::with_hello().await;
    {
        let shared = Arc::new(&stage);
        let churn = async {
            for n in 0..20 {
                let deleted = shared.delete(FUNCTION).await.status;
                assert!(matches!(deleted, 204 | 404));
                let made = shared
                    .create("hello", json!({ "Code": { "ZipFile": zip(&format!("v{}", n % 3)) } }))
                    .await;
                assert!(matches!(made.status, 201 | 409), "{made:?}");
            }
        };
        let more_churn = async {
            for n in 0..20 {
                let code = json!({ "ZipFile": zip(&format!("v{}", n % 4)) });
                let updated = shared.put(&format!("{FUNCTION}/code"), code).await;
                assert!(matches!(updated.status, 200 | 404), "{updated:?}");
            }
        };
        let load = async {
            for _ in 0..60 {
                let answer = shared.send("POST", &format!("{FUNCTION}/invocations"), &[], "1".into()).await;
                assert!(matches!(answer.status, 200 | 404), "{answer:?}");
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(churn, more_churn, load);
    }
    for (version, _) in stage.echo.calls.lock().expect("not poisoned").drain(..) {
        assert!(version.code_dir.is_dir(), "code stays as long as a call may need it");
    }
    let before = stage.get(FUNCTION).await.json()["Configuration"].clone();
    stage.restart().await;
    assert_eq!(stage.get(FUNCTION).await.json()["Configuration"], before);
    let packages = std::fs::read_dir(stage.data.path().join("code")).expect("exists").count();
    assert_eq!(packages, 1, "only the code of the one function is left");
}
