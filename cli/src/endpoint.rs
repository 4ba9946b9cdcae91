//! Which platform a command talks to, and with which key.

use crate::failure::Failure;
use crate::pasted;
use access::{Credentials, RootKey};
use serde::Deserialize;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for a connection that only shows whether there is one.
const CONNECT: Duration = Duration::from_secs(2);

/// Where a platform started with no flags listens.
pub const DEFAULT: &str = "http://127.0.0.1:4566";

/// The file in the data directory in which a running platform says where it listens.
const FILE: &str = "endpoint.json";

/// The variables that AWS's own tools read, and ours.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `AWS_ENDPOINT_URL`.
    pub endpoint: Option<String>,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    pub key: Option<(String, String)>,
    /// `AWS_SESSION_TOKEN`.
    pub token: Option<String>,
    /// `DAYFLY_ROOT_ACCESS_KEY_ID` and `DAYFLY_ROOT_SECRET_ACCESS_KEY`.
    pub root: Option<(String, String)>,
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
}

impl Environment {
    /// Reads the process's environment.
    pub fn read() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let pair = |id: &str, secret: &str| Some((var(id)?, var(secret)?));
        Self {
            endpoint: var("AWS_ENDPOINT_URL"),
            key: pair("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            token: var("AWS_SESSION_TOKEN"),
            root: pair("DAYFLY_ROOT_ACCESS_KEY_ID", "DAYFLY_ROOT_SECRET_ACCESS_KEY"),
            region: var("AWS_REGION").or_else(|| var("AWS_DEFAULT_REGION")),
        }
    }
}

/// A platform's address. Plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Everything that a request needs to be sent and believed.
#[derive(Clone)]
pub struct Target {
    /// Where.
    pub endpoint: Endpoint,
    /// Signed with what.
    pub credentials: Credentials,
    /// For which region; the platform answers in its own.
    pub region: String,
}

/// What `endpoint.json` holds.
#[derive(Debug, Deserialize)]
struct Running {
    endpoint: String,
    #[serde(default)]
    region: Option<String>,
}

impl Endpoint {
    /// Reads a URL such as `http://127.0.0.1:4566`.
    pub fn parse(url: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(
                format!("{url:?} is no endpoint"),
                why,
                format!("dayfly list --endpoint {DEFAULT}"),
            )
        };
        let uri: http::Uri = url.parse().map_err(|_| wrong("it is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(wrong("TLS is not supported yet; use http")),
            _ => return Err(wrong("it must begin with http://")),
        }
        if !matches!(uri.path(), "" | "/") {
            return Err(wrong("an endpoint has no path"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(80) })
    }

    /// `host:port`, with brackets where an address needs them.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// Whether the platform runs on this machine.
    pub fn is_here(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl Endpoint {
    /// Whether something accepts connections there.
    pub fn listens(&self) -> bool {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        addresses
            .is_ok_and(|mut all| all.any(|address| TcpStream::connect_timeout(&address, CONNECT).is_ok()))
    }
}

impl Target {
    /// Finds platform and key: the flag, the environment, what a platform on `data` left there, the default.
    ///
    /// A platform found through the data directory is spoken to with that directory's key, whatever keys for other
    /// clouds the environment holds; one named by flag or environment with the environment's.
    pub fn find(flag: Option<&str>, environment: &Environment, data: &Path) -> Result<Self, Failure> {
        let named = flag.or(environment.endpoint.as_deref());
        let running = Running::read(data);
        let left = running.as_ref().map(|running| running.endpoint.as_str());
        let endpoint = Endpoint::parse(named.or(left).unwrap_or(DEFAULT))?;
        let kept = key_file(data);
        if named.is_none() && left.is_none() && kept.is_some() && environment.root.is_none() {
            return Err(not_running(data));
        }
        let ours =
            kept.or_else(|| environment.root.as_ref().map(|(id, secret)| credentials(id, secret, None)));
        let theirs =
            environment.key.as_ref().map(|(id, secret)| credentials(id, secret, environment.token.clone()));
        let is_ours =
            named.is_none() || left.is_some_and(|left| Endpoint::parse(left).as_ref() == Ok(&endpoint));
        let credentials = if is_ours { ours.or(theirs) } else { theirs.or(ours) };
        let credentials = credentials.ok_or_else(|| no_key(&endpoint, data))?;
        let region = running
            .filter(|_| is_ours)
            .and_then(|running| running.region)
            .or_else(|| environment.region.clone())
            .unwrap_or_else(|| model::Place::default().region);
        Ok(Self { endpoint, credentials, region })
    }
}

impl Running {
    fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(data.join(FILE)).ok()?).ok()
    }
}

fn key_file(data: &Path) -> Option<Credentials> {
    let key = RootKey::parse(&std::fs::read(key_path(data)).ok()?)?;
    Some(credentials(&key.access_key, &key.secret_key, None))
}

/// Where the root key of the platform on `data` lies.
pub fn key_path(data: &Path) -> PathBuf {
    data.join(RootKey::FILE)
}

fn credentials(id: &str, secret: &str, token: Option<String>) -> Credentials {
    Credentials { access_key: id.to_owned(), secret_key: secret.to_owned(), token }
}

/// Whatever listens at the default address is then another platform, which has another key.
fn not_running(data: &Path) -> Failure {
    Failure::new(
        "cannot reach Dayfly",
        format!("no platform runs on {}; one did, and its key is there", data.display()),
        "dayfly up",
    )
}

fn no_key(endpoint: &Endpoint, data: &Path) -> Failure {
    let path = key_path(data);
    let url = endpoint.url();
    if path.exists() {
        let why = format!("{} cannot be read by this user, and AWS_ACCESS_KEY_ID is not set", path.display());
        return Failure::new(
            format!("no access key for {url}"),
            why,
            format!("ls -l {}", pasted::path(&path)),
        );
    }
    let why = format!("no platform was started on {}, and AWS_ACCESS_KEY_ID is not set", data.display());
    if endpoint.is_here() && endpoint.listens() {
        let why = format!("something answers there, but {why}");
        Failure::new(format!("no access key for {url}"), why, "dayfly up --listen 127.0.0.1:0")
    } else if endpoint.is_here() {
        Failure::new(format!("cannot reach Dayfly at {url}"), why, "dayfly up")
    } else {
        let hint = "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…";
        Failure::new(format!("no access key for {url}"), why, hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(Endpoint::parse(url).ok().map(|e| e.url()).as_deref(), expected, "{url}");
        };
        check("http://127.0.0.1:4566", Some("http://127.0.0.1:4566"));
        check("http://localhost:4566/", Some("http://localhost:4566"));
        check("http://[::1]:4566", Some("http://[::1]:4566"));
        check("http://example", Some("http://example:80"));
        for bad in ["https://a", "ftp://a", "127.0.0.1:4566", "http://", "", "http://a/b"] {
            check(bad, None);
        }
    }

    #[test]
    fn who_is_asked_with_which_key() {
        let data = tempfile::tempdir().expect("a directory");
        let environment = Environment { key: Some(("AKIDENV".into(), "s".into())), ..Environment::default() };
        let find = |flag: Option<&str>, environment: &Environment| {
            Target::find(flag, environment, data.path())
                .map(|target| (target.endpoint.url(), target.credentials.access_key, target.region))
                .map_err(|failure| failure.hint)
        };
        let expect = |url: &str, key: &str, region: &str| Ok((url.into(), key.into(), region.into()));
        assert_eq!(find(Some("http://127.0.0.1:1"), &Environment::default()), Err("dayfly up".into()));
        assert_eq!(find(None, &environment), expect(DEFAULT, "AKIDENV", "us-east-1"));

        std::fs::write(
            data.path().join(FILE),
            r#"{"endpoint":"http://127.0.0.1:7000","pid":1,"region":"eu-north-1"}"#,
        )
        .expect("written");
        let key = r#"{"accessKeyId":"AKIAAAAAAAAAAAAAAAAA","secretAccessKey":"ssssssssssssssssssssssssssssssssssssssss"}"#;
        std::fs::write(key_path(data.path()), key).expect("written");
        let (ours, file) = ("http://127.0.0.1:7000", "AKIAAAAAAAAAAAAAAAAA");
        std::fs::rename(data.path().join(FILE), data.path().join("aside")).expect("moved");
        assert_eq!(find(None, &environment), Err("dayfly up".into()), "it has stopped");
        std::fs::rename(data.path().join("aside"), data.path().join(FILE)).expect("moved");
        assert_eq!(find(None, &environment), expect(ours, file, "eu-north-1"));
        assert_eq!(find(Some(ours), &environment), expect(ours, file, "eu-north-1"));
        let elsewhere = "http://10.0.0.1:4566";
        assert_eq!(find(Some(elsewhere), &environment), expect(elsewhere, "AKIDENV", "us-east-1"));
        assert_eq!(find(Some(elsewhere), &Environment::default()), expect(elsewhere, file, "us-east-1"));
    }
}
