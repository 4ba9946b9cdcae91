//! Cross-origin rules of one function URL, applied by the platform before and after the function.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, Method};

/// The CORS block of a function URL; empty lists allow nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins, or `*`.
    pub allow_origins: Vec<String>,
    /// Methods, or `*`.
    pub allow_methods: Vec<String>,
    /// Request headers, or `*`.
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read.
    pub expose_headers: Vec<String>,
    /// Whether cookies may be sent; never together with a reflected `*`.
    pub allow_credentials: bool,
    /// How long a browser may keep the answer to a preflight, in seconds.
    pub max_age_s: Option<u32>,
}

/// Whether this is a preflight, which the platform answers without calling the function.
pub(crate) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(ORIGIN)
        && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Sets the headers that a listed origin gets; removes what the function itself may have set.
pub(crate) fn apply(cors: &Cors, request: &HeaderMap, response: &mut HeaderMap, preflight: bool) {
    for name in [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE,
    ] {
        response.remove(name);
    }
    let Some(origin) = request.get(ORIGIN).and_then(|o| o.to_str().ok()) else { return };
    let Some(allowed) = allowed_origin(cors, origin) else { return };
    put(response, ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    response.append(VARY, HeaderValue::from_static("origin"));
    if cors.allow_credentials && allowed != "*" {
        put(response, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    if preflight {
        list(response, ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods);
        list(response, ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers);
        if let Some(age) = cors.max_age_s {
            put(response, ACCESS_CONTROL_MAX_AGE, &age.to_string());
        }
    } else {
        list(response, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers);
    }
}

fn allowed_origin<'a>(cors: &Cors, origin: &'a str) -> Option<&'a str> {
    let listed = |text: &str| cors.allow_origins.iter().any(|o| o.eq_ignore_ascii_case(text));
    if listed(origin) {
        Some(origin)
    } else if listed("*") {
        Some("*")
    } else {
        None
    }
}

fn list(headers: &mut HeaderMap, name: HeaderName, values: &[String]) {
    if !values.is_empty() {
        put(headers, name, &values.join(","));
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(cors: &Cors, origin: &str, preflight: bool) -> HeaderMap {
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        let mut response = HeaderMap::new();
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("set-by-function"));
        apply(cors, &request, &mut response, preflight);
        response
    }

    #[test]
    fn only_listed_origins_are_answered() {
        let cors = Cors {
            allow_origins: vec!["https://a.example".into()],
            allow_methods: vec!["GET".into(), "PUT".into()],
            allow_credentials: true,
            max_age_s: Some(60),
            ..Cors::default()
        };
        let good = answered(&cors, "https://a.example", true);
        assert_eq!(good[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert_eq!(good[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(good[ACCESS_CONTROL_ALLOW_METHODS], "GET,PUT");
        assert_eq!(good[ACCESS_CONTROL_MAX_AGE], "60");
        for bad in ["https://b.example", "null"] {
            assert!(answered(&cors, bad, true).is_empty(), "{bad}");
        }
    }

    #[test]
    fn a_star_never_brings_credentials() {
        let cors = Cors { allow_origins: vec!["*".into()], allow_credentials: true, ..Cors::default() };
        let headers = answered(&cors, "https://x.example", false);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }
}
