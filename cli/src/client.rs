//! Signed requests to the platform's public API, and what it answers. The CLI has no other door.

use crate::endpoint::{DEFAULT, Target};
use crate::failure::Failure;
use access::Scope;
use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use world::World;

const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for an ordinary answer.
pub const USUAL: Duration = Duration::from_secs(60);
/// No answer of the API is larger: a code download is the largest.
const ANSWER_BYTES: usize = 300 << 20;

/// Speaks to one platform.
#[derive(Clone)]
pub struct Client {
    target: Target,
    world: World,
}

/// One request, before it is signed.
#[derive(Debug, Clone)]
pub struct Request {
    /// The operation's name, for messages.
    pub operation: &'static str,
    /// Signing name.
    pub service: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Path and query, percent-encoded.
    pub path: String,
    /// Headers besides those of the signature.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
    /// Longest wait for the whole answer.
    pub patience: Duration,
}

/// A successful answer.
#[derive(Debug)]
pub struct Answer {
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no successful answer.
#[derive(Debug)]
pub enum CallError {
    /// The platform understood and refused.
    Refused(Refusal),
    /// It could not be asked, or its answer could not be read.
    Broken(Failure),
}

/// An error of the API.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The operation that was refused.
    pub operation: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Such as `ResourceNotFoundException`.
    pub code: String,
    /// The platform's words.
    pub message: String,
    /// Names the request in the platform's own log.
    pub request_id: String,
}

impl Request {
    /// A request without headers and body.
    pub fn new(operation: &'static str, service: &'static str, method: Method, path: String) -> Self {
        Self { operation, service, method, path, headers: Vec::new(), body: Bytes::new(), patience: USUAL }
    }

    /// With a JSON body.
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        self.headers.push(("content-type", "application/json".into()));
        self.body = serde_json::to_vec(body).expect("a JSON value always has a text").into();
        self
    }
}

impl Client {
    /// A client of `target`.
    pub fn new(target: Target, world: World) -> Self {
        Self { target, world }
    }

    /// Whom it speaks to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a request and reads a JSON answer; an empty one counts as `{}`.
    pub async fn call<T: DeserializeOwned>(&self, request: Request) -> Result<T, CallError> {
        let operation = request.operation;
        let answer = self.send(request).await?;
        let body: &[u8] = if answer.body.is_empty() { b"{}" } else { &answer.body };
        serde_json::from_slice(body).map_err(|error| {
            CallError::Broken(self.odd(format!("its answer to {operation} cannot be read: {error}")))
        })
    }

    /// Signs, sends, and reads the whole answer.
    pub async fn send(&self, request: Request) -> Result<Answer, CallError> {
        let operation = request.operation;
        let patience = request.patience;
        let exchange = self.exchange(self.sign(request)?);
        let (status, headers, body) = timeout(patience, exchange).await.map_err(|_| {
            CallError::Broken(self.odd(format!("no answer within {} s", patience.as_secs())))
        })??;
        if status.is_success() {
            Ok(Answer { headers, body })
        } else {
            Err(CallError::Refused(Refusal::read(operation, status, &headers, &body)))
        }
    }

    fn sign(&self, request: Request) -> Result<http::Request<Full<Bytes>>, CallError> {
        let unsendable = |why: String| {
            CallError::Broken(Failure::usage("this request cannot be sent", why, "dayfly --help"))
        };
        let mut unsigned = http::Request::builder()
            .method(request.method)
            .uri(&request.path)
            .header("host", self.target.endpoint.authority())
            .header("user-agent", concat!("dayfly/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &request.headers {
            let value =
                HeaderValue::from_str(value).map_err(|error| unsendable(format!("{name}: {error}")))?;
            unsigned = unsigned.header(HeaderName::from_static(name), value);
        }
        let (mut parts, ()) = unsigned.body(()).map_err(|error| unsendable(error.to_string()))?.into_parts();
        let scope = Scope { region: &self.target.region, service: request.service, now: self.world.now() };
        access::sign(&mut parts, &request.body, &self.target.credentials, scope)
            .map_err(|error| unsendable(error.to_string()))?;
        Ok(http::Request::from_parts(parts, Full::new(request.body)))
    }

    async fn exchange(
        &self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), CallError> {
        let odd = |error: hyper::Error| CallError::Broken(self.odd(chain(&error)));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(self.connect().await?)).await.map_err(odd)?;
        let driver = tokio::spawn(connection);
        let answered = sender.send_request(request).await.map_err(odd)?;
        let (head, mut body) = answered.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(odd)?.into_data() {
                if bytes.len() + data.len() > ANSWER_BYTES {
                    return Err(CallError::Broken(self.odd("its answer is too large".into())));
                }
                bytes.extend_from_slice(&data);
            }
        }
        driver.abort();
        Ok((head.status, head.headers, bytes.freeze()))
    }

    async fn connect(&self) -> Result<TcpStream, CallError> {
        let endpoint = &self.target.endpoint;
        let unreachable = |why: String| {
            let hint = match endpoint.is_here() {
                true if endpoint.url() == DEFAULT => "dayfly up".to_owned(),
                true => format!("dayfly up --listen {}", endpoint.authority()),
                false => "dayfly doctor".to_owned(),
            };
            CallError::Broken(Failure::new(format!("cannot reach Dayfly at {}", endpoint.url()), why, hint))
        };
        let socket = timeout(CONNECT, TcpStream::connect((endpoint.host.as_str(), endpoint.port)))
            .await
            .map_err(|_| unreachable(format!("no connection within {} s", CONNECT.as_secs())))?
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::ConnectionRefused => unreachable("nothing listens there".into()),
                _ => unreachable(error.to_string()),
            })?;
        let _ = socket.set_nodelay(true);
        Ok(socket)
    }

    fn odd(&self, why: String) -> Failure {
        Failure::new(format!("no usable answer from {}", self.target.endpoint.url()), why, "dayfly doctor")
    }
}

/// An error and what caused it, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

impl Refusal {
    fn read(operation: &'static str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |names: &[&str]| names.iter().find_map(|name| json[*name].as_str()).map(str::to_owned);
        let code =
            header("x-amzn-errortype").or_else(|| text(&["__type", "code", "Code"])).unwrap_or_default();
        let code = code.split(':').next().unwrap_or("").rsplit('#').next().unwrap_or("").to_owned();
        Self {
            operation,
            status: status.as_u16(),
            code: if code.is_empty() { format!("HTTP {status}") } else { code },
            message: text(&["message", "Message"])
                .unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()),
            request_id: header("x-amzn-requestid").or_else(|| header("x-amz-request-id")).unwrap_or_default(),
        }
    }

    fn hint(&self) -> &'static str {
        match self.code.as_str() {
            "ResourceNotFoundException" => "dayfly list",
            "TooManyRequestsException" | "ThrottlingException" | "RequestEntityTooLargeException" => {
                "dayfly limits"
            }
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException"
            | "AccessDeniedException" => "dayfly env",
            "ValidationException" | "InvalidParameterValueException" => "dayfly deploy --help",
            _ => "dayfly doctor",
        }
    }
}

impl CallError {
    /// Whether the platform says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code.ends_with("NotFoundException"))
    }

    /// Whether the platform says that it exists already, or is being changed.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == "ResourceConflictException")
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let request = match refusal.request_id.as_str() {
            "" => String::new(),
            id => format!(" (request {id})"),
        };
        Self::new(
            format!("{} was refused: {}{request}", refusal.operation, refusal.code),
            if refusal.message.is_empty() {
                format!("HTTP status {}", refusal.status)
            } else {
                refusal.message.clone()
            },
            refusal.hint(),
        )
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => refusal.into(),
            CallError::Broken(failure) => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_each_protocol() {
        let check = |header: Option<&str>, body: &str, code: &str, message: &str| {
            let mut headers = HeaderMap::new();
            if let Some(value) = header {
                headers.insert("x-amzn-errortype", HeaderValue::from_str(value).expect("ascii"));
            }
            let refusal = Refusal::read("GetFunction", StatusCode::NOT_FOUND, &headers, body.as_bytes());
            assert_eq!((refusal.code.as_str(), refusal.message.as_str()), (code, message));
        };
        check(
            Some("ResourceNotFoundException"),
            r#"{"Type":"User","Message":"m"}"#,
            "ResourceNotFoundException",
            "m",
        );
        check(Some("A:http://x/"), r#"{"message":"m"}"#, "A", "m");
        check(
            None,
            r#"{"__type":"com.amazonaws.logs#InvalidParameterException","message":"m"}"#,
            "InvalidParameterException",
            "m",
        );
        check(None, "<html>", "HTTP 404 Not Found", "<html>");
        check(None, "", "HTTP 404 Not Found", "");
    }
}
