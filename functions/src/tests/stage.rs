//! A service in an empty data directory, and requests to it.

use super::stand_ins::{Copier, Echo, Judge};
use crate::{Functions, Parts, Settings};
use access::policy::Context;
use access::{Access, Ask, Credentials, Keys, Permit, RequestFacts, RootKey, Scope, sign};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use model::Place;
use serde_json::{Value, json};
use std::sync::Arc;
use store::{Blobs, DataDir, Store};
use tempfile::TempDir;
use wire::{Dispatch, Routed};
use world::World;

pub(super) const ROLE: &str = "arn:aws:iam::000000000000:role/runner";
pub(super) const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:hello";

pub(super) struct Stage {
    pub(super) functions: Functions,
    pub(super) echo: Arc<Echo>,
    pub(super) access: Arc<Access>,
    pub(super) world: World,
    pub(super) data: DataDir,
    pub(super) store: Store,
    _folder: TempDir,
}

/// What a client gets.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Status and error code.
    pub(super) fn code(&self) -> (u16, &str) {
        (self.status, self.header("x-amzn-errortype"))
    }

    pub(super) fn message(&self) -> String {
        let json = self.json();
        json["message"].as_str().or(json["Message"].as_str()).unwrap_or_default().to_owned()
    }
}

impl Stage {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = DataDir::open(folder.path()).expect("opens");
        let (world, store) = (World::simulated(5), Store::memory());
        let keys = Keys::fresh(RootKey::draw(&world), &world);
        let access = Arc::new(Access::new(keys, Place::default(), world.clone()));
        let echo = Arc::new(Echo::default());
        let functions = open(&store, &data, (&echo, &access, &world)).await;
        Self { functions, echo, access, world, data, store, _folder: folder }
    }

    /// The service as it is after a restart.
    pub(super) async fn restart(&mut self) {
        self.functions = open(&self.store, &self.data, (&self.echo, &self.access, &self.world)).await;
    }

    /// A function `hello`, made of the archive `code`.
    pub(super) async fn with_hello() -> Self {
        let stage = Self::new().await;
        let answer = stage.create("hello", json!({})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        stage
    }

    /// CreateFunction with `changes` to an ordinary request; members that are null are left out.
    pub(super) async fn create(&self, name: &str, changes: Value) -> Answer {
        let mut request = json!({
            "FunctionName": name,
            "Runtime": "python3.12",
            "Role": ROLE,
            "Handler": "app.handler",
            "Code": { "ZipFile": zip("code") },
        });
        for (member, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(request.as_object_mut().expect("an object").remove(member)),
                value => request[member] = value.clone(),
            }
        }
        self.post("/2015-03-31/functions", request).await
    }

    pub(super) async fn post(&self, target: &str, body: Value) -> Answer {
        self.send("POST", target, &[], body.to_string().into()).await
    }

    pub(super) async fn put(&self, target: &str, body: Value) -> Answer {
        self.send("PUT", target, &[], body.to_string().into()).await
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], Bytes::new()).await
    }

    pub(super) async fn delete(&self, target: &str) -> Answer {
        self.send("DELETE", target, &[], Bytes::new()).await
    }

    /// Walks a request as the gateway does.
    pub(super) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(target).header("host", "127.0.0.1:4566");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).expect("a request").into_parts().0;
        let scope = Scope { region: "us-east-1", service: "lambda", now: self.world.now() };
        sign(&mut parts, &body, &self.root(), scope).expect("signs");
        let Ok(Routed::Known(route)) = wire::route(&parts) else { panic!("{method} {target} leads nowhere") };
        let answer = async {
            let input = wire::decode(&route, &parts, &body)?;
            let permit = self.permit(&parts, &body, route.operation.action);
            wire::lambda::Serve(self.functions.clone()).call(&permit, route.operation, input).await
        };
        let response: Response<Bytes> = match answer.await {
            Ok(output) => wire::encode(&route, output, "r-1"),
            Err(error) => {
                let dialect =
                    wire::Dialect { protocol: route.service.protocol, service: Some(route.service) };
                wire::encode_error(dialect, &error, "r-1")
            }
        };
        let (parts, body) = response.into_parts();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    fn root(&self) -> Credentials {
        let key = self.access.root().clone();
        Credentials { access_key: key.access_key, secret_key: key.secret_key, token: None }
    }

    fn permit(&self, parts: &http::request::Parts, body: &[u8], action: &str) -> Permit {
        let identity = self.access.identify(parts, body, "lambda").expect("is signed");
        let ask = Ask { action, resource: "*", policy: None, context: &Context::default() };
        let facts = RequestFacts {
            request_id: self.world.uuid(),
            source_ip: "127.0.0.1".into(),
            endpoint: "http://127.0.0.1:4566".into(),
            user_agent: String::new(),
        };
        self.access.authorize(identity, ask, facts).expect("root may")
    }
}

async fn open(
    store: &Store,
    data: &DataDir,
    (echo, access, world): (&Arc<Echo>, &Arc<Access>, &World),
) -> Functions {
    Functions::open(Parts {
        store: store.clone(),
        blobs: Blobs::open(data).expect("opens"),
        data: data.clone(),
        runner: Arc::clone(echo) as _,
        unpacker: Arc::new(Copier),
        components: Some(Arc::new(Judge)),
        access: Arc::clone(access),
        place: Place::default(),
        world: world.clone(),
        settings: Settings {
            url_authority: "lambda-url.localhost:4566".into(),
            concurrency: 1000,
            memory_mb: 10_000,
        },
    })
    .await
    .expect("opens")
}

pub(super) fn zip(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}
