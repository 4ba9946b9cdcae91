//! Services as the floors and neighbours that need them see them.

use functions::Functions;
use gateway::{Cors, FunctionFacts, UrlAuth, UrlTarget};
use model::FunctionName;
use std::sync::Arc;

/// The function service, for the gateway.
pub(crate) struct Facts(pub(crate) Functions);

impl FunctionFacts for Facts {
    fn url(&self, url_id: &str) -> Option<UrlTarget> {
        let target = self.0.url(url_id)?;
        Some(UrlTarget {
            version: target.version,
            auth: match target.auth {
                functions::UrlAuth::None => UrlAuth::None,
                functions::UrlAuth::AwsIam => UrlAuth::AwsIam,
            },
            cors: target.cors.as_ref().map(cors),
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
