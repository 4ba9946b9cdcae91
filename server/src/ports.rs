//! Services as the floors and neighbours that need them see them.

use functions::Functions;
use gateway::{Cors, FunctionFacts, UrlAuth, UrlTarget};
use model::{Egress, FunctionAddress, FunctionName};
use std::sync::Arc;

/// The function service, for the gateway.
pub(crate) struct Facts {
    pub(crate) functions: Functions,
    /// What the platform allows at most.
    pub(crate) egress: Egress,
}

impl FunctionFacts for Facts {
    fn url(&self, url_id: &str) -> Option<UrlTarget> {
        let target = self.functions.url(url_id)?;
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

    fn policy(&self, address: &FunctionAddress) -> Option<Arc<access::policy::Document>> {
        self.functions.policy(&address.name, address.qualifier.as_deref())
    }

    fn egress(&self, name: &FunctionName) -> Egress {
        self.functions.egress(name).min(self.egress)
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
