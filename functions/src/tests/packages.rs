//! Archives and their folders.

use super::stage::{Stage, zip};
use serde_json::json;
use std::fs;

const FUNCTION: &str = "/2015-03-31/functions/hello";

fn only(folder: std::path::PathBuf) -> std::path::PathBuf {
    let mut entries = fs::read_dir(&folder).expect("exists");
    let path = entries.next().expect("an entry").expect("readable").path();
    assert!(entries.next().is_none(), "one entry in {folder:?}");
    path
}

#[tokio::test]
async fn functions_share_a_package_until_none_needs_it() {
    let stage = Stage::with_hello().await;
    assert_eq!(stage.create("again", json!({})).await.status, 201);
    let folder = only(stage.data.path().join("code"));
    assert_eq!(fs::read(folder.join("app.py")).expect("unpacked"), b"code");
    assert_eq!(stage.delete(FUNCTION).await.status, 204);
    assert!(folder.is_dir(), "the other function needs it");
    assert_eq!(stage.delete("/2015-03-31/functions/again").await.status, 204);
    assert!(!folder.exists());
}

#[tokio::test]
async fn who_changes_one_function_looks_at_no_package_of_others() {
    let mut stage = Stage::with_hello().await;
    for n in 0..20 {
        let code = json!({ "Code": { "ZipFile": zip(&format!("code {n}")) } });
        assert_eq!(stage.create(&format!("other-{n}"), code).await.status, 201);
    }
    stage.restart().await;
    let looked_at = async |stage: &Stage| {
        stage.functions.packages().sweep(stage.functions.catalog()).await.expect("nothing fails")
    };
    assert_eq!(looked_at(&stage).await, 0, "nobody has changed anything");
    let update = stage.put(&format!("{FUNCTION}/code"), json!({ "ZipFile": zip("new") })).await;
    assert_eq!(update.status, 200);
    assert!(looked_at(&stage).await <= 2, "the package before, and the one now");
    assert_eq!(stage.delete(FUNCTION).await.status, 204);
    assert!(looked_at(&stage).await <= 1, "its last package");
    let kept = fs::read_dir(stage.data.path().join("code")).expect("exists").count();
    assert_eq!(kept, 20, "those of the others");
}

#[tokio::test]
async fn a_package_outlives_its_function_while_an_instance_runs_it() {
    let stage = Stage::with_hello().await;
    let answer = stage.send("POST", &format!("{FUNCTION}/invocations"), &[], "1".into()).await;
    assert_eq!(answer.status, 200);
    let running = stage.echo.calls.lock().expect("not poisoned").pop().expect("a call").0;
    assert_eq!(stage.delete(FUNCTION).await.status, 204);
    assert!(running.code_dir.is_dir());
    let folder = running.code_dir.clone();
    drop(running);
    stage.functions.sweep().await;
    assert!(!folder.exists());
}

#[tokio::test]
async fn components_are_judged_when_they_are_deployed() {
    let stage = Stage::new().await;
    let component = |text: &str| json!({ "Runtime": "wasm", "Code": { "ZipFile": zip(text) } });
    let cases = [
        ("no component", (400, "InvalidParameterValueException")),
        ("no compiler", (500, "ServiceException")),
        ("component", (201, "")),
    ];
    for (text, expected) in cases {
        assert_eq!(stage.create("hello", component(text)).await.code(), expected, "{text}");
    }
    let update = stage.put(&format!("{FUNCTION}/code"), json!({ "ZipFile": zip("now no component") })).await;
    assert_eq!(
        (update.code(), update.message().as_str()),
        ((400, "InvalidParameterValueException"), "it is no component")
    );
    let folder = only(stage.data.path().join("code"));
    assert_eq!(fs::read(folder.join("app.py")).expect("unpacked"), b"component", "what was refused is gone");
}

#[tokio::test]
async fn a_missing_folder_is_unpacked_again() {
    let mut stage = Stage::with_hello().await;
    let folder = only(stage.data.path().join("code"));
    fs::remove_dir_all(&folder).expect("removed");
    fs::create_dir(folder.with_extension("removed")).expect("left by a crash");
    stage.restart().await;
    assert_eq!(fs::read(only(stage.data.path().join("code")).join("app.py")).expect("unpacked"), b"code");
}

#[tokio::test]
async fn a_damaged_archive_is_never_served_and_the_state_says_so() {
    let mut stage = Stage::with_hello().await;
    let folder = only(stage.data.path().join("code"));
    let blob = only(only(stage.data.path().join("blobs")));
    fs::write(&blob, b"c0de").expect("damaged");
    let sha256 = folder.file_name().expect("a name").to_str().expect("text").to_owned();
    let name = model::FunctionName::parse("hello").expect("a name");
    assert!(stage.functions.code(&name, &sha256).await.is_err());

    fs::remove_dir_all(&folder).expect("removed");
    stage.restart().await;
    let configuration = stage.get(&format!("{FUNCTION}/configuration")).await.json();
    assert_eq!(configuration["State"], json!("Failed"));
    assert!(configuration["StateReason"].as_str().expect("a reason").contains("update the function's code"));
    let call = stage.send("POST", &format!("{FUNCTION}/invocations"), &[], "1".into()).await;
    assert_eq!(call.code(), (409, "ResourceConflictException"));

    let repaired = stage.put(&format!("{FUNCTION}/code"), json!({ "ZipFile": zip("code") })).await.json();
    assert_eq!(repaired["State"], json!("Active"));
    let call = stage.send("POST", &format!("{FUNCTION}/invocations"), &[], "1".into()).await;
    assert_eq!(call.status, 200);
}

#[tokio::test]
async fn the_code_url_opens_the_archive_and_nothing_else() {
    let stage = Stage::with_hello().await;
    let code = stage.get(FUNCTION).await.json()["Code"].clone();
    assert_eq!(code["RepositoryType"], json!("S3"));
    let uri: http::Uri = code["Location"].as_str().expect("a URL").parse().expect("a URL");
    let request = http::Request::get(&uri).header("host", uri.authority().expect("a host").as_str());
    let parts = request.body(()).expect("a request").into_parts().0;
    assert!(stage.access.identify(&parts, b"", "dayfly").is_ok(), "a plain GET is enough");
    let Ok(wire::Routed::Known(route)) = wire::route(&parts) else { panic!("{uri} leads nowhere") };
    assert_eq!(route.operation.name, "GetCode");
    let sha256 = route.labels.iter().find(|(name, _)| *name == "Sha256").expect("a hash").1.clone();
    let name = model::FunctionName::parse("hello").expect("a name");
    assert_eq!(stage.functions.code(&name, &sha256).await.expect("code"), "code");
    assert!(stage.functions.code(&name, &sha256.replace('a', "b")).await.is_err());
    stage.world.advance(std::time::Duration::from_secs(601));
    assert!(stage.access.identify(&parts, b"", "dayfly").is_err(), "after ten minutes it is over");
}

#[tokio::test]
async fn large_archives_are_refused_before_they_are_stored() {
    let stage = Stage::new().await;
    let large = vec![0; 50 * 1024 * 1024 + 1].into();
    let error = stage.functions.packages().place(large).await.map(|placed| placed.code.sha256);
    let error = wire::Error::from(error.expect_err("is refused"));
    assert_eq!((error.status, &*error.code), (400, "InvalidParameterValueException"));
    assert_eq!(error.message, "Zipped size must be smaller than 52428800 bytes");
    assert_eq!(fs::read_dir(stage.data.path().join("blobs")).expect("exists").count(), 0);
}

#[tokio::test]
async fn refused_archives_leave_nothing_behind() {
    let stage = Stage::new().await;
    let files = |folder: &str| fs::read_dir(stage.data.path().join(folder)).expect("exists").count();
    for (archive, says) in [
        ("damaged", "Could not unzip uploaded file."),
        ("bomb", "Unzipped size must be smaller than 262144000 bytes"),
        ("full disk", "no space is left to unpack the package"),
        ("PK\x05\x06 and the rest of an end", "Uploaded file must be a non-empty zip"),
    ] {
        let error = stage.functions.place_package(archive.into()).await.map(|placed| placed.code.sha256);
        let error = wire::Error::from(error.expect_err("is refused"));
        assert!(error.message.contains(says), "{archive}: {}", error.message);
        let blobs = fs::read_dir(stage.data.path().join("blobs")).expect("exists");
        let left = blobs.flat_map(|shard| fs::read_dir(shard.expect("readable").path()).expect("a folder"));
        assert_eq!((left.count(), files("code")), (0, 0), "{archive}");
    }
}
