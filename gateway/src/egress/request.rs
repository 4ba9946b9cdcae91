//! What a function asks its proxy for: `CONNECT host:port`, or a request whose target is a whole URL. Pure.

/// Headers that are for the proxy, or for this connection only.
const NOT_PASSED_ON: [&str; 6] =
    ["connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "upgrade"];

/// The longest host name there is.
const HOST_BYTES: usize = 253;

/// Where to, and what is sent there first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) host: String,
    pub(super) port: u16,
    /// The head to pass on; `None` for a tunnel, which is told when it is open.
    pub(super) head: Option<Vec<u8>>,
}

/// Whether what a client says first is for elsewhere, and not for the platform.
pub(super) fn is_for_elsewhere(start: &[u8]) -> bool {
    let Some((method, target)) = split_once(start, b' ') else { return false };
    method == b"CONNECT" || target.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http://"))
}

/// Where a head ends, if it does.
pub(super) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads a whole head.
pub(super) fn parse(head: &[u8]) -> Result<Wish, &'static str> {
    let text = std::str::from_utf8(head).map_err(|_| "the head is not text")?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let first: Vec<&str> = lines.next().unwrap_or("").split(' ').collect();
    let [method, target, version @ ("HTTP/1.1" | "HTTP/1.0")] = first[..] else {
        return Err("the first line must be METHOD TARGET HTTP/1.1");
    };
    if method == "CONNECT" {
        let (host, port) = authority(target, None)?;
        return Ok(Wish { host, port, head: None });
    }
    let rest = target.get(7..).ok_or("the target must be a URL with http://")?;
    let (place, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = authority(place, Some(80))?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    // The header follows the target that was judged, whatever the client wrote.
    let mut passed = format!("{method} {slash}{path} {version}\r\nHost: {place}\r\nConnection: close\r\n");
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a header has no colon")?;
        if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_whitespace()) {
            return Err("a header's name has a space in it");
        }
        let name = name.to_ascii_lowercase();
        if name != "host" && !NOT_PASSED_ON.contains(&name.as_str()) {
            passed.push_str(&format!("{name}:{value}\r\n"));
        }
    }
    passed.push_str("\r\n");
    Ok(Wish { host, port, head: Some(passed.into_bytes()) })
}

/// `host`, `host:port`, `[v6]:port`; no user, no empty host.
fn authority(text: &str, usual_port: Option<u16>) -> Result<(String, u16), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("an IPv6 address has no end")?;
            (
                host,
                after.strip_prefix(':').map_or_else(|| after.is_empty().then_some(None), |p| Some(Some(p))),
            )
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(Some(port))),
            None => (text, Some(None)),
        },
    };
    let port = match port.ok_or("the port is not a number")? {
        Some(port) => Some(port.parse().map_err(|_| "the port is not a number")?),
        None => usual_port,
    };
    let port = port.filter(|port| *port != 0).ok_or("a port is missing")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || host.len() > HOST_BYTES || !host.bytes().all(fits) {
        return Err("the host is no host name and no address");
    }
    Ok((host.to_owned(), port))
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..index], &bytes[index + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read() {
        let cases = [
            ("CONNECT a.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", "a.example", 443, None),
            ("CONNECT [2606::1]:443 HTTP/1.1\r\n\r\n", "2606::1", 443, None),
            (
                "GET http://a.example/b?c HTTP/1.1\r\nHost: evil\r\nProxy-Connection: x\r\nA: b\r\n\r\n",
                "a.example",
                80,
                Some("GET /b?c HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\na: b\r\n\r\n"),
            ),
            (
                "POST HTTP://1.2.3.4:8080?q HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
                "1.2.3.4",
                8080,
                Some(
                    "POST /?q HTTP/1.1\r\nHost: 1.2.3.4:8080\r\nConnection: close\r\ncontent-length: 1\r\n\r\n",
                ),
            ),
        ];
        for (said, host, port, passed) in cases {
            assert!(is_for_elsewhere(said.as_bytes()), "{said}");
            assert_eq!(end_of_head(said.as_bytes()), Some(said.len()));
            let head = passed.map(|text| text.as_bytes().to_vec());
            assert_eq!(parse(said.as_bytes()), Ok(Wish { host: host.into(), port, head }));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for head in [
            "CONNECT a.example HTTP/1.1\r\n\r\n",
            "CONNECT a.example:0 HTTP/1.1\r\n\r\n",
            "CONNECT a.example:99999 HTTP/1.1\r\n\r\n",
            "CONNECT :443 HTTP/1.1\r\n\r\n",
            "CONNECT user@a.example:443 HTTP/1.1\r\n\r\n",
            "CONNECT a.example%00:443 HTTP/1.1\r\n\r\n",
            "CONNECT [::1:443 HTTP/1.1\r\n\r\n",
            "CONNECT [::1]x443 HTTP/1.1\r\n\r\n",
            "CONNECT a b:443 HTTP/1.1\r\n\r\n",
            "CONNECT a.example:443 HTTP/2\r\n\r\n",
            "GET http:///x HTTP/1.1\r\n\r\n",
            "GET http://u:p@a.example/ HTTP/1.1\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nno colon\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nA : b\r\n\r\n",
        ] {
            assert!(parse(head.as_bytes()).is_err(), "{head}");
        }
        for start in
            ["GET / HTTP/1.1", "POST /2015-03-31/functions HTTP/1.1", "CONNECT", "", "GET https://x/"]
        {
            assert!(!is_for_elsewhere(start.as_bytes()), "{start}");
        }
    }
}
