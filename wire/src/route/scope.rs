//! The service that a request says it is signed for. Nothing is verified here.

use http::header::AUTHORIZATION;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The service in the credential scope of the `Authorization` header or the `X-Amz-Credential` parameter.
pub fn signing_name(parts: &Parts) -> Option<Cow<'_, str>> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(header) = header {
        let (_, credential) = header.split_once("Credential=")?;
        return service(credential.split([',', ' ']).next()?).map(Cow::Borrowed);
    }
    let pairs = parts.uri.query()?.split('&');
    let credential = pairs.filter_map(|pair| pair.strip_prefix("X-Amz-Credential=")).next()?;
    let credential = percent_decode_str(credential).decode_utf8().ok()?;
    service(&credential).map(|name| Cow::Owned(name.to_owned()))
}

/// `key/date/region/service/aws4_request` → `service`.
fn service(credential: &str) -> Option<&str> {
    let mut parts = credential.rsplit('/');
    let end = parts.next()?;
    parts.next().filter(|name| end == "aws4_request" && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, authorization: Option<&str>, expected: Option<&str>) {
        let mut request = http::Request::builder().uri(uri);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(signing_name(&parts).as_deref(), expected, "{uri} {authorization:?}");
    }

    #[test]
    fn scopes() {
        let header =
            "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/lambda/aws4_request, SignedHeaders=host";
        check("/", Some(header), Some("lambda"));
        check(
            "/",
            Some("AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/logs/aws4_request,X=y"),
            Some("logs"),
        );
        let presigned = "/?X-Amz-Credential=AKID%2F20261123%2Fus-east-1%2Fdayfly%2Faws4_request&X-Amz-Date=1";
        check(presigned, None, Some("dayfly"));
        check("/", Some("Bearer abc"), None);
        check("/", Some("AWS4-HMAC-SHA256 Credential=AKID"), None);
        check("/?X-Amz-Credential=%FF", None, None);
        check("/", None, None);
    }
}
