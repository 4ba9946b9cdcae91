//! Connections: accepted up to a limit, timed out while they send nothing, ended in order.

use crate::{Gateway, flow, lookout};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::FunctionName;
use rustix::net::sockopt::set_tcp_user_timeout;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use world::{End, Ender};

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-type: application/json\r\ncontent-length: 74\r\n\r\n\
    {\"message\":\"too many open connections; see `dayfly limits`: connections\"}\n";

/// Serves the platform's endpoint inside one sandbox until it is dropped.
pub struct InsideGuard {
    _ender: Ender,
}

/// Where a connection comes from. Requests from inside carry it as an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Side {
    /// The platform's own listener.
    Outside,
    /// A sandbox.
    Inside(Arc<Inside>),
}

/// Whose sandbox it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) function: FunctionName,
    pub(crate) instance: String,
}

impl Gateway {
    /// Accepts connections until `end`, then lets open ones finish their request. Returns when all are closed.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, end: End) {
        let slots = Arc::clone(&self.slots);
        tokio::spawn(lookout::watch(Arc::downgrade(&self), end.clone()));
        self.accept(listener, Side::Outside, end, slots).await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, side: Side, end: End, slots: Arc<Semaphore>) {
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = end.wait() => break,
            };
            while open.try_join_next().is_some() {}
            match accepted {
                Ok(accepted) => match Arc::clone(&slots).try_acquire_owned() {
                    Ok(slot) => {
                        open.spawn(Arc::clone(&self).connection(accepted, side.clone(), end.clone(), slot));
                    }
                    Err(_) => {
                        open.spawn(turn_away(accepted.0));
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; waiting 50 ms");
                    self.world.sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }

    /// Serves a listener that lives in a sandbox's own network namespace. An instance has slots of its own, so that it
    /// can take nobody else's.
    pub fn serve_inside(
        self: &Arc<Self>,
        listener: std::net::TcpListener,
        function: FunctionName,
        instance: String,
    ) -> std::io::Result<InsideGuard> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (ender, end) = Ender::new();
        let slots = usize::try_from(model::limit("instance-connections")).expect("a hundred fits");
        let side = Side::Inside(Arc::new(Inside { function, instance }));
        tokio::spawn(Arc::clone(self).accept(listener, side, end, Arc::new(Semaphore::new(slots))));
        Ok(InsideGuard { _ender: ender })
    }

    /// From now on new requests are told to come back later.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    async fn connection(
        self: Arc<Self>,
        (stream, peer): (TcpStream, SocketAddr),
        side: Side,
        end: End,
        _slot: OwnedSemaphorePermit,
    ) {
        let _ = stream.set_nodelay(true);
        if let Side::Inside(inside) = &side
            && self.is_for_elsewhere(&stream).await
        {
            return tokio::select! {
                () = self.lead_out(stream, &inside.function) => {}
                () = end.wait() => {}
            };
        }
        let _ = set_tcp_user_timeout(&stream, limit_ms("answer-timeout"));
        let service = service_fn(|mut request: Request<Incoming>| {
            if matches!(side, Side::Inside(_)) {
                request.extensions_mut().insert(side.clone());
            }
            let gateway = Arc::clone(&self);
            async move {
                let response = flow::walk(&gateway, request, peer).await;
                Ok::<Response<Full<Bytes>>, Infallible>(response.map(Full::new))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(model::limit("head-timeout")))
            .max_buf_size(usize::try_from(model::limit("head-bytes")).expect("64 KiB fits"))
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = end.wait() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

pub(crate) fn limit_ms(name: &str) -> u32 {
    u32::try_from(model::limit(name).saturating_mul(1000)).unwrap_or(u32::MAX)
}

async fn turn_away(mut stream: TcpStream) {
    let _ = stream.write_all(FULL).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_house_answer_announces_its_true_length() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
    }
}
