//! Services as the floors and neighbours that need them see them.

use functions::{Functions, Runner};
use gateway::{Cors, FunctionFacts, UrlAuth, UrlTarget};
use invoke::{Done, Engine, Refused};
use model::{Call, FunctionName, Version};
use std::sync::Arc;
use wire::BoxFuture;

/// The function service, for the gateway.
pub(crate) struct Facts(pub(crate) Arc<Functions>);

impl FunctionFacts for Facts {
    fn url(&self, url_id: &str) -> Option<UrlTarget> {
        let target = self.0.resolve_url(url_id)?;
        Some(UrlTarget {
            version: target.version,
            auth: match target.auth {
                functions::UrlAuth::None => UrlAuth::None,
                functions::UrlAuth::AwsIam => UrlAuth::AwsIam,
            },
            cors: target.cors.as_deref().map(cors),
            policy: target.policy,
        })
    }

    fn policy(&self, name: &FunctionName) -> Option<Arc<access::policy::Document>> {
        self.0.policy(name)
    }
}

fn cors(cors: &functions::Cors) -> Arc<Cors> {
    Arc::new(Cors {
        allow_origins: cors.allow_origins.clone(),
        allow_methods: cors.allow_methods.clone(),
        allow_headers: cors.allow_headers.clone(),
        expose_headers: cors.expose_headers.clone(),
        allow_credentials: cors.allow_credentials,
        max_age_s: cors.max_age_s,
    })
}

/// The engine, for the function service.
pub(crate) struct Runs(pub(crate) Arc<Engine>);

impl Runner for Runs {
    fn invoke<'a>(&'a self, version: &'a Arc<Version>, call: Call) -> BoxFuture<'a, Result<Done, Refused>> {
        Box::pin(self.0.invoke(version, call))
    }

    fn retire(&self, function: &FunctionName, keep_revision: Option<&str>) {
        self.0.retire(function, keep_revision);
    }
}
