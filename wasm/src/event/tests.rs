use super::*;

fn made(event: &str) -> Result<(Request<Bytes>, Form), String> {
    request(
        Bytes::copy_from_slice(event.as_bytes()),
        About { exchange: false, request_id: "id", trace: Some("Root=1") },
    )
}

fn url(fields: &str) -> String {
    format!(r#"{{"version":"2.0","requestContext":{{"http":{{"method":"PUT"}}}},{fields}}}"#)
}

#[test]
fn events_become_requests() {
    let cases = [
        ("{\"a\":1}".to_owned(), Form::Plain, "POST /", "{\"a\":1}"),
        ("7".into(), Form::Plain, "POST /", "7"),
        ("not json".into(), Form::Plain, "POST /", "not json"),
        (
            url(r#""rawPath":"/a b%/ü?x","rawQueryString":"q=1&q=%20""#),
            Form::Url,
            "PUT /a%20b%25/%C3%BC%3Fx?q=1&q=%20",
            "",
        ),
        (url(r#""rawPath":"/","body":"text""#), Form::Url, "PUT /", "text"),
        (url(r#""rawPath":"/","body":"AAEC","isBase64Encoded":true"#), Form::Url, "PUT /", "\0\u{1}\u{2}"),
        // Not a URL's event: another version, or no path.
        (
            url(r#""rawPath":"/""#).replace("2.0", "1.0"),
            Form::Plain,
            "POST /",
            "{\"version\":\"1.0\",\"requestContext\":{\"http\":{\"method\":\"PUT\"}},\"rawPath\":\"/\"}",
        ),
        (
            url(r#""x":"/""#),
            Form::Plain,
            "POST /",
            "{\"version\":\"2.0\",\"requestContext\":{\"http\":{\"method\":\"PUT\"}},\"x\":\"/\"}",
        ),
    ];
    for (event, form, line, body) in cases {
        let (request, shape) = made(&event).unwrap();
        assert_eq!(shape, form, "{event}");
        assert_eq!(format!("{} {}", request.method(), request.uri()), line);
        assert_eq!(request.body(), body.as_bytes(), "{event}");
        assert_eq!(request.headers()[REQUEST_ID], "id");
        assert_eq!(request.headers()[TRACE], "Root=1");
        assert_eq!(request.headers()[HOST], "localhost");
    }
}

#[test]
fn headers_and_cookies_arrive() {
    let event = url(
        r#""rawPath":"/","cookies":["a=1","b=2"],"headers":{"host":"h","x-mine":"1,2","bad name":"x","x-bad":"a\nb","x-amzn-trace-id":"theirs"}"#,
    );
    let (request, _) = made(&event).unwrap();
    let get = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap());
    let expected = [
        ("host", Some("h")),
        ("x-mine", Some("1,2")),
        ("cookie", Some("a=1; b=2")),
        ("x-bad", None),
        ("x-amzn-trace-id", Some("theirs")),
    ];
    for (name, value) in expected {
        assert_eq!(get(name), value, "{name}");
    }
}

#[test]
fn what_makes_no_request_is_said() {
    let cases = [
        (url(r#""rawPath":"/","body":"%","isBase64Encoded":true"#), "not base64"),
        (url(r#""rawPath":"/""#).replace("PUT", "NO METHOD"), "is no request"),
        (url(r#""rawPath":"/","rawQueryString":"a b""#), "is no request"),
    ];
    for (event, expected) in cases {
        let said = made(&event).unwrap_err();
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn responses_become_answers() {
    let response = |status: u16, body: &'static [u8]| {
        let builder = Response::builder().status(status).header("x-a", "1").header("x-a", "2");
        builder
            .header("set-cookie", "c=1")
            .header("set-cookie", "d=2")
            .body(Bytes::from_static(body))
            .unwrap()
    };
    assert_eq!(answer(response(201, b"hello"), Form::Plain).unwrap(), "hello");
    assert_eq!(answer(response(404, b"gone"), Form::Plain), Err(("Http.404".into(), "gone".into())));
    let cases: [(&[u8], &str); 3] = [
        (
            b"hi",
            r#"{"statusCode":404,"headers":{"content-type":"application/octet-stream","x-a":"1, 2"},"cookies":["c=1","d=2"],"body":"hi","isBase64Encoded":false}"#,
        ),
        (
            b"\xff",
            r#"{"statusCode":404,"headers":{"content-type":"application/octet-stream","x-a":"1, 2"},"cookies":["c=1","d=2"],"body":"/w==","isBase64Encoded":true}"#,
        ),
        (
            b"",
            r#"{"statusCode":404,"headers":{"x-a":"1, 2"},"cookies":["c=1","d=2"],"body":"","isBase64Encoded":false}"#,
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(answer(response(404, body), Form::Url).unwrap(), expected);
    }
}
