//! Requests that components send: plain HTTP to where the sandbox's own network leads, which is the platform's endpoint.

use http_body_util::BodyExt;
use hyper::client::conn::http1;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::TcpStream;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

const HTTP_PORT: u16 = 80;

/// Sends requests, with no setting of its own. The call's own deadline bounds each.
pub(crate) struct Outbound;

type Progress = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Progress), Error>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _failed: Progress,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(send(request))
    }
}

async fn send(mut request: http::Request<WasiBody>) -> Answer {
    let address = address(request.uri())?;
    let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the exchange, or with this process.
    tokio::spawn(connection);
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = target.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let response = sender.send_request(request).await?;
    let done: Progress = Box::new(std::future::ready(Ok(())));
    Ok((response.map(|body| body.map_err(Error::from).boxed_unsync()), done))
}

/// There is no name service inside, and no way to encrypt.
fn address(uri: &http::Uri) -> Result<SocketAddr, Error> {
    if uri.scheme() != Some(&http::uri::Scheme::HTTP) {
        return Err(Error::TlsProtocolError);
    }
    let host = uri.host().ok_or(Error::HttpRequestUriInvalid)?;
    let port = uri.port_u16().unwrap_or(HTTP_PORT);
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    }
    let ip: IpAddr = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .map_err(|_| Error::DnsError { rcode: Some("NXDOMAIN".into()), info_code: None })?;
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_request_goes() {
        let cases = [
            ("http://127.0.0.1:4566/x", Some("127.0.0.1:4566")),
            ("http://localhost/x", Some("127.0.0.1:80")),
            ("http://a.b.localhost:7/", Some("127.0.0.1:7")),
            ("http://[::1]:7/", Some("[::1]:7")),
            ("http://example.com/", None),
            ("https://127.0.0.1/", None),
        ];
        for (uri, expected) in cases {
            let found = address(&uri.parse().unwrap()).ok().map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{uri}");
        }
    }
}
