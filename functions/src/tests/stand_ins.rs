//! What stands in for the engine and the sandbox.

use crate::{Components, Runner, Unpacker};
use bytes::Bytes;
use invoke::{Answer, Done, Refused, Snapshot};
use model::{Call, InvocationRecord, LATEST, Outcome, Phases, Rung, Usage, Version, VersionName};
use sandbox::{UnpackError, UnpackLimits, Unpacked};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use wasm::CompileError;
use wire::BoxFuture;

/// Answers every call with its own event, and remembers what was asked of it. Events that are texts are orders.
#[derive(Default)]
pub(super) struct Echo {
    pub(super) calls: Mutex<Vec<(Arc<Version>, Call)>>,
    pub(super) retired: Mutex<Vec<(String, Option<String>)>>,
    /// The instances that were promised and not taken back.
    pub(super) promised: Mutex<BTreeMap<String, u32>>,
    /// What there is of every version's snapshot.
    pub(super) snapshot: Mutex<Option<Snapshot>>,
    /// The revisions whose preparation was waited for.
    pub(super) prepared: Mutex<Vec<String>>,
}

impl Runner for Echo {
    fn invoke<'a>(&'a self, version: &'a Arc<Version>, call: Call) -> BoxFuture<'a, Result<Done, Refused>> {
        Box::pin(async move {
            self.calls.lock().expect("not poisoned").push((Arc::clone(version), call.clone()));
            let payload = call.payload.clone();
            let outcome = match &call.payload[..] {
                br#""fail""# => {
                    Answer::Failed(Bytes::from_static(br#"{"errorMessage":"boom","errorType":"E"}"#))
                }
                br#""throttle""# => {
                    return Err(Refused::Throttled {
                        reason: "ConcurrentInvocationLimitExceeded",
                        limit: "account-concurrency",
                        lifted_by: "dayfly up --concurrency",
                        retry_after_s: 2,
                    });
                }
                br#""no runtime""# => {
                    return Err(Refused::MissingRuntime("python3.12 is not installed".into()));
                }
                br#""no sandbox""# => return Err(Refused::Sandbox("EPERM".into())),
                br#""stopping""# => return Err(Refused::ShuttingDown),
                _ => Answer::Returned(payload),
            };
            let tail = call.tail.then(|| b"START\n".to_vec());
            Ok(Done { outcome, record: record(version, &call), tail })
        })
    }

    fn answer<'a>(&'a self, version: &'a Arc<Version>, call: Call) -> BoxFuture<'a, Result<Answer, Refused>> {
        assert!(!call.tail, "who wants the tail waits for it");
        Box::pin(async move { self.invoke(version, call).await.map(|done| done.outcome) })
    }

    fn retire(&self, version: &VersionName, keep_revision: Option<&str>) {
        let kept = keep_revision.map(Into::into);
        if keep_revision.is_none() {
            self.promised.lock().expect("not poisoned").remove(&short(version));
        }
        self.retired.lock().expect("not poisoned").push((short(version), kept));
    }

    fn promise(&self, version: &Arc<Version>, instances: u32) {
        let mut promised = self.promised.lock().expect("not poisoned");
        match instances {
            0 => drop(promised.remove(&short(&version.name()))),
            _ => drop(promised.insert(short(&version.name()), instances)),
        }
    }

    fn snapshot(&self, _version: &Version) -> Snapshot {
        let snapshot = self.snapshot.lock().expect("not poisoned").clone();
        snapshot.unwrap_or(Snapshot::Missing(String::new()))
    }

    fn prepared<'a>(&'a self, version: &'a Arc<Version>) -> BoxFuture<'a, ()> {
        Box::pin(async {
            // It takes a moment.
            tokio::task::yield_now().await;
            self.prepared.lock().expect("not poisoned").push(version.revision.clone());
        })
    }
}

/// As clients write it.
fn short(version: &VersionName) -> String {
    match version.version.as_str() {
        LATEST => version.function.to_string(),
        number => format!("{}:{number}", version.function),
    }
}

fn record(version: &Version, call: &Call) -> InvocationRecord {
    InvocationRecord {
        request_id: call.request_id.clone(),
        started_us: 0,
        function: version.function.to_string(),
        version: version.version.clone(),
        instance: "i".into(),
        caller: call.caller.clone(),
        outcome: Outcome::Success,
        error_type: None,
        rung: Rung::Spawn,
        reason: "first instance".into(),
        phases: Phases::default(),
        usage: Usage::default(),
        memory_mb: version.memory_mb,
        billed_ms: 1,
        cost_nanodollars: 1,
        request_bytes: 0,
        response_bytes: 0,
        log_group: version.log_group.clone(),
        log_stream: "s".into(),
        imports: Vec::new(),
        isolation_level: Some(3),
    }
}

/// "Compiles" the packages that [`Copier`] made, by what they say they are.
pub(super) struct Judge;

impl Components for Judge {
    fn compile<'a>(&'a self, package: &'a Path) -> BoxFuture<'a, Result<(), CompileError>> {
        Box::pin(async move {
            let mut files = std::fs::read_dir(package).expect("placed").flatten();
            let text =
                files.next().map(|file| std::fs::read(file.path()).expect("readable")).unwrap_or_default();
            match text.as_slice() {
                text if text.ends_with(b"no component") => {
                    Err(CompileError::Unfit("it is no component".into()))
                }
                text if text.ends_with(b"no compiler") => Err(CompileError::Failed("it is ill".into())),
                _ => Ok(()),
            }
        })
    }

    fn sweep(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// "Unpacks" an archive into a folder with one file that holds it. Archives are texts that say what they are.
pub(super) struct Copier;

impl Unpacker for Copier {
    fn unpack<'a>(
        &'a self,
        zip: &'a Path,
        dest: &'a Path,
        limits: UnpackLimits,
    ) -> BoxFuture<'a, Result<Unpacked, UnpackError>> {
        Box::pin(async move {
            let bytes = std::fs::read(zip).expect("the archive is there");
            match bytes.as_slice() {
                b"damaged" => {
                    Err(UnpackError::Refused { entry: Some("../x".into()), why: "leaves the folder".into() })
                }
                b"bomb" => Err(UnpackError::TooLarge {
                    limit: "unzipped-bytes".into(),
                    allowed: limits.unzipped_bytes,
                    found: limits.unzipped_bytes + 1,
                }),
                b"full disk" => Err(UnpackError::DiskFull),
                _ if dest.exists() => Err(UnpackError::Exists),
                _ => {
                    std::fs::create_dir(dest).expect("the folder can be made");
                    std::fs::write(dest.join("app.py"), &bytes).expect("the file can be written");
                    Ok(Unpacked { bytes: bytes.len() as u64, entries: 1 })
                }
            }
        })
    }
}
