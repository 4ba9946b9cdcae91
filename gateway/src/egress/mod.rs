//! The way out: a function speaks to the platform's endpoint as to an HTTP proxy, and the server connects in its place,
//! where the function's policy lets it. Nothing of a sandbox's own network leads anywhere.

mod reach;
mod request;
mod slots;

use crate::Gateway;
use model::{Egress, FunctionName};
use reach::Reach;
use request::Wish;
use rustix::net::sockopt::set_tcp_user_timeout;
use slots::Slots;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, lookup_host};

/// Most addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;

/// How much of a connection's start is looked at to tell whom it is for.
const START_BYTES: usize = 64;

/// What all functions share of the way out.
pub(crate) struct Door {
    connections: Arc<Slots>,
    lookups: Arc<Slots>,
}

impl Door {
    pub(crate) fn new() -> Self {
        let slots = |name| Slots::new(usize::try_from(model::limit(name)).unwrap_or(usize::MAX));
        Self { connections: slots("egress-connections"), lookups: slots("egress-lookups") }
    }
}

/// Why a connection was not made.
#[derive(Debug)]
enum Refusal {
    Malformed(&'static str),
    Denied { host: String, reach: Reach, egress: Egress },
    Full(&'static str),
    Unknown { host: String, why: String },
    Unreachable { host: String, why: String },
    TooSlow { what: &'static str, limit: &'static str },
}

impl Gateway {
    /// How far out a function may connect now.
    pub fn egress(&self, function: &FunctionName) -> Egress {
        self.functions.egress(function)
    }

    /// Whether a connection from inside is for elsewhere. Waits for what it says first.
    pub(crate) async fn is_for_elsewhere(&self, stream: &TcpStream) -> bool {
        let mut start = [0; START_BYTES];
        match self.within("head-timeout", stream.peek(&mut start)).await {
            Ok(Ok(got)) => request::is_for_elsewhere(&start[..got]),
            _ => false,
        }
    }

    /// Serves such a connection to its end.
    pub(crate) async fn lead_out(&self, mut inside: TcpStream, function: &FunctionName) {
        let _ = set_tcp_user_timeout(&inside, crate::connections::limit_ms("answer-timeout"));
        let Some(_slot) = self.door_out.connections.take(function) else {
            return refuse(&mut inside, &Refusal::Full("egress-connections")).await;
        };
        let opened = self.open(&mut inside, function).await;
        match opened {
            Ok(mut outside) => {
                let _ = copy_bidirectional(&mut inside, &mut outside).await;
            }
            Err(refusal) => {
                tracing::info!(%function, ?refusal, "a connection out was refused");
                refuse(&mut inside, &refusal).await;
            }
        }
    }

    /// Reads the request, connects, and says or passes on what comes first.
    async fn open(&self, inside: &mut TcpStream, function: &FunctionName) -> Result<TcpStream, Refusal> {
        let (bytes, end) = self.within("head-timeout", read_head(inside)).await??;
        let wish = request::parse(&bytes[..end]).map_err(Refusal::Malformed)?;
        let egress = self.functions.egress(function);
        let addresses = self.addresses(&wish, function).await?;
        let open = choose(&wish.host, &addresses, egress)?;
        let mut outside = self.connect(&wish.host, &open).await?;
        let lost =
            |error: std::io::Error| Refusal::Unreachable { host: wish.host.clone(), why: error.to_string() };
        match &wish.head {
            Some(head) => outside.write_all(head).await.map_err(lost)?,
            None => {
                let opened = inside.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
                opened.map_err(|_| Refusal::Malformed("the client is gone"))?;
            }
        }
        outside.write_all(&bytes[end..]).await.map_err(lost)?;
        Ok(outside)
    }

    /// Every address of a host. Whatever it is called, what is judged and connected to are these.
    async fn addresses(&self, wish: &Wish, function: &FunctionName) -> Result<Vec<SocketAddr>, Refusal> {
        if let Ok(address) = wish.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, wish.port)]);
        }
        let slot = self.door_out.lookups.take(function).ok_or(Refusal::Full("egress-lookups"))?;
        let (host, port) = (wish.host.clone(), wish.port);
        // It cannot be stopped: who stops waiting for it leaves it its slot.
        let lookup = tokio::spawn(async move {
            let found = lookup_host((host, port)).await.map(|found| found.take(MAX_ADDRESSES).collect());
            drop(slot);
            found
        });
        let found = self.within("egress-lookup-time", lookup).await?;
        let unknown =
            |why: std::io::Error| Refusal::Unknown { host: wish.host.clone(), why: why.to_string() };
        found.unwrap_or_else(|lost| Err(std::io::Error::other(lost))).map_err(unknown)
    }

    async fn connect(&self, host: &str, addresses: &[SocketAddr]) -> Result<TcpStream, Refusal> {
        let attempt = async {
            let mut why = String::from("it has no address");
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => why = error.to_string(),
                }
            }
            Err(Refusal::Unreachable { host: host.to_owned(), why })
        };
        self.within("egress-connect-time", attempt).await?
    }

    async fn within<T>(&self, limit: &'static str, work: impl Future<Output = T>) -> Result<T, Refusal> {
        tokio::select! {
            done = work => Ok(done),
            () = self.world.sleep(Duration::from_secs(model::limit(limit))) => {
                Err(Refusal::TooSlow { what: "no answer in time", limit })
            }
        }
    }
}

/// Those addresses that the policy opens; an error that names what the first one is where there is none.
fn choose(host: &str, addresses: &[SocketAddr], egress: Egress) -> Result<Vec<SocketAddr>, Refusal> {
    let open: Vec<SocketAddr> =
        addresses.iter().copied().filter(|address| Reach::of(address.ip()).is_open_to(egress)).collect();
    match (open.is_empty(), addresses.first()) {
        (false, _) => Ok(open),
        (true, Some(first)) => {
            Err(Refusal::Denied { host: host.to_owned(), reach: Reach::of(first.ip()), egress })
        }
        (true, None) => Err(Refusal::Unknown { host: host.to_owned(), why: "it has no address".into() }),
    }
}

async fn read_head(inside: &mut TcpStream) -> Result<(Vec<u8>, usize), Refusal> {
    let most = usize::try_from(model::limit("head-bytes")).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(1024);
    loop {
        match inside.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => return Err(Refusal::Malformed("the head is incomplete")),
        }
        if let Some(end) = request::end_of_head(&bytes) {
            return Ok((bytes, end));
        }
        if bytes.len() > most {
            return Err(Refusal::Malformed("the head is longer than head-bytes of `dayfly limits`"));
        }
    }
}

async fn refuse(inside: &mut TcpStream, refusal: &Refusal) {
    let (status, kind, message) = words(refusal);
    let body = serde_json::json!({ "Type": kind, "Message": message }).to_string();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-amzn-errortype: {kind}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = inside.write_all(answer.as_bytes()).await;
    let _ = inside.shutdown().await;
}

fn words(refusal: &Refusal) -> (&'static str, &'static str, String) {
    match refusal {
        Refusal::Malformed(why) => ("400 Bad Request", "EgressRequestInvalid", (*why).to_owned()),
        Refusal::Denied { host, reach, egress } => {
            let name = reach.name();
            let least = Egress::ALL.into_iter().find(|egress| reach.is_open_to(*egress));
            let hint = match least {
                Some(least) => {
                    format!("set it with dayfly deploy --egress {least}, if the platform allows that")
                }
                None => "no setting opens it".to_owned(),
            };
            let message = format!("{host} is {name}, and this function's egress is {egress}; {hint}");
            ("403 Forbidden", "EgressDenied", message)
        }
        Refusal::Full(limit) => (
            "503 Service Unavailable",
            "EgressFull",
            format!("too many at once; see `dayfly limits`: {limit}"),
        ),
        Refusal::Unknown { host, why } => {
            ("502 Bad Gateway", "EgressUnknownHost", format!("{host} cannot be found: {why}"))
        }
        Refusal::Unreachable { host, why } => {
            ("502 Bad Gateway", "EgressUnreachable", format!("{host} cannot be reached: {why}"))
        }
        Refusal::TooSlow { what, limit } => {
            ("504 Gateway Timeout", "EgressTimeout", format!("{what}; see `dayfly limits`: {limit}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect()
    }

    /// Check 50: a name with a good and a bad address leads to the good one only, whatever their order; one whose every
    /// address is bad leads nowhere. The name itself is never looked at again.
    #[test]
    fn what_a_name_leads_to_is_judged() {
        let rebound = addresses(&["127.0.0.1", "1.1.1.1", "169.254.169.254", "10.0.0.1"]);
        assert_eq!(choose("x", &rebound, Egress::Public).unwrap(), addresses(&["1.1.1.1"]));
        assert_eq!(choose("x", &rebound, Egress::All).unwrap(), addresses(&["1.1.1.1", "10.0.0.1"]));
        for egress in [Egress::None, Egress::Platform] {
            assert!(matches!(choose("x", &rebound, egress), Err(Refusal::Denied { .. })));
        }
        for bad in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "fd00:ec2::254", "0.0.0.0"] {
            let refused = choose("x", &addresses(&[bad]), Egress::All).unwrap_err();
            assert!(words(&refused).2.contains("no setting opens it"), "{bad}: {refused:?}");
        }
        let private = choose("db", &addresses(&["10.0.0.1"]), Egress::Public).unwrap_err();
        let (status, kind, message) = words(&private);
        assert_eq!((status, kind), ("403 Forbidden", "EgressDenied"));
        assert_eq!(
            message,
            "db is a private address, and this function's egress is public; set it with dayfly deploy --egress all, if \
             the platform allows that"
        );
        assert!(matches!(choose("x", &[], Egress::All), Err(Refusal::Unknown { .. })));
    }
}
