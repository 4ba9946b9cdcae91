//! A bare hyper server that says hello: the floor of wasm's throughput. Runs in a process of its own.

use super::bare::Ended;
use super::{Setting, pinned};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::process::Stdio;
use tokio::net::TcpListener;

/// The hidden verb of `cargo xtask bench` that serves.
pub(crate) const VERB: &str = "__hyper";

/// Starts the server on core 1 and gives its URL.
pub(crate) fn start(setting: &Setting) -> Result<(Ended, String), String> {
    let own = setting.own();
    let port = super::peer::free_port()?;
    let mut command = pinned(&own.to_string_lossy());
    command.args(["bench", VERB, &port.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = Ended(command.spawn().map_err(|e| e.to_string())?);
    super::peer::wait_for(port)?;
    Ok((child, format!("http://127.0.0.1:{port}/")))
}

/// Serves on `port` of the loopback interface until it is killed.
pub(crate) fn serve(port: &str) -> Result<(), String> {
    let port: u16 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(accept(port)).map_err(|e| e.to_string())
}

async fn accept(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let hello = service_fn(|_| async {
            let body = Full::new(Bytes::from_static(b"{\"hello\":\"world\",\"calls\":1}"));
            let answer = hyper::Response::builder().header("content-type", "application/json").body(body);
            Ok::<_, Infallible>(answer.expect("a well-formed answer"))
        });
        tokio::spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), hello).await;
        });
    }
}
