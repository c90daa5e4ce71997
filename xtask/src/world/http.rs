//! HTTP/1.1 requests and TCP connections of checks. Plain text only: a check asks what the task has just started.

use std::fmt;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::{Request, Response};
use crate::wording;

/// How much of a body is kept, in bytes.
const BODY_LIMIT: u64 = 4 << 20;

/// Why there was no connection or no response. Its text is the end of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Nothing listens there.
    Refused,
    /// No answer within this time.
    TimedOut(Duration),
    /// The other side hung up, perhaps in the middle of its answer.
    Reset,
    /// The name has no address.
    NoSuchHost,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("the connection was refused"),
            Self::TimedOut(limit) => write!(f, "no answer within {}", wording::duration(*limit)),
            Self::Reset => f.write_str("the connection was closed without a whole answer"),
            Self::NoSuchHost => f.write_str("no such host"),
        }
    }
}

impl Silence {
    /// True if `text` says that nothing can be reached there, rather than that the question was wrong.
    pub fn says_closed(text: &str) -> bool {
        text == Self::Refused.to_string() || text.starts_with("no answer within ")
    }
}

/// Sends a request and reads the response; redirections are answers, not followed.
pub fn request(request: &Request) -> Result<Response, String> {
    refuse_line_breaks(request)?;
    let mut outgoing = minreq::Request::new(method(&request.method), &request.url)
        .with_headers(request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .with_follow_redirects(false)
        .with_max_headers_size(64 << 10)
        .with_timeout(whole_seconds(request.limit));
    if let Some(body) = &request.body {
        outgoing = outgoing.with_body(body.as_str());
    }
    let lazy = outgoing.send_lazy().map_err(|error| explain(&error, request.limit))?;
    let status = lazy.status_code;
    if status == 0 {
        return Err("the answer is not HTTP".to_owned());
    }
    let headers: Vec<(String, String)> =
        lazy.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let mut body = Vec::new();
    if request.method != "HEAD" && status != 304 {
        lazy.take(BODY_LIMIT).read_to_end(&mut body).map_err(|error| cause(&error, request.limit))?;
        if promised(&headers).is_some_and(|length| (body.len() as u64) < length.min(BODY_LIMIT)) {
            return Err(Silence::Reset.to_string());
        }
    }
    Ok(Response { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// The length of the body that the headers announce; minreq takes a shorter one without a word.
fn promised(headers: &[(String, String)]) -> Option<u64> {
    headers.iter().find(|(name, _)| name == "content-length")?.1.trim().parse().ok()
}

/// A line break in a name or a value would start a header, or a request, of its own (RFC 9110, 5.5).
fn refuse_line_breaks(request: &Request) -> Result<(), String> {
    let broken = |text: &str| text.contains(|c: char| c.is_ascii_control());
    if broken(&request.method) || broken(&request.url) || request.url.contains(' ') {
        return Err("its method or address contains a blank or a line break".to_owned());
    }
    match request.headers.iter().find(|(name, value)| broken(name) || broken(value)) {
        Some((name, _)) => Err(format!("the header `{}` contains a line break", name.escape_debug())),
        None => Ok(()),
    }
}

fn method(name: &str) -> minreq::Method {
    match name {
        "GET" => minreq::Method::Get,
        "HEAD" => minreq::Method::Head,
        "POST" => minreq::Method::Post,
        "PUT" => minreq::Method::Put,
        "DELETE" => minreq::Method::Delete,
        "OPTIONS" => minreq::Method::Options,
        "PATCH" => minreq::Method::Patch,
        other => minreq::Method::Custom(other.to_owned()),
    }
}

/// minreq counts whole seconds; the next larger number, so that a short limit is not none at all.
fn whole_seconds(limit: Duration) -> u64 {
    limit.as_secs() + u64::from(limit.subsec_nanos() > 0)
}

fn explain(error: &minreq::Error, limit: Duration) -> String {
    match error {
        minreq::Error::IoError(error) => cause(error, limit),
        minreq::Error::AddressNotFound => Silence::NoSuchHost.to_string(),
        minreq::Error::InvalidUtf8InResponse
        | minreq::Error::MalformedChunkLength
        | minreq::Error::MalformedChunkEnd
        | minreq::Error::MalformedContentLength => "the answer is not HTTP".to_owned(),
        other => other.to_string(),
    }
}

fn cause(error: &io::Error, limit: Duration) -> String {
    use io::ErrorKind as K;
    match error.kind() {
        K::ConnectionRefused => Silence::Refused.to_string(),
        K::TimedOut | K::WouldBlock => Silence::TimedOut(limit).to_string(),
        K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof => {
            Silence::Reset.to_string()
        }
        // The resolver's failures have no kind of their own in std.
        _ if error.to_string().starts_with("failed to lookup address") => Silence::NoSuchHost.to_string(),
        _ => error.to_string(),
    }
}

/// Connects to `host:port` and hangs up. All addresses of the host are tried within `limit`.
pub fn connect(address: &str, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    let addresses = address.to_socket_addrs().map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => format!("`{address}` is not `host:port`"),
        _ => cause(&error, limit),
    })?;
    let mut last = Silence::NoSuchHost.to_string();
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Silence::TimedOut(limit).to_string());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Ok(()),
            Err(error) => last = cause(&error, limit),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    /// Answers one connection with `reply` and gives what was asked.
    fn serve(reply: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; 4096];
            let n = stream.read(&mut asked).unwrap();
            stream.write_all(reply.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        (url, thread)
    }

    fn get(url: &str) -> Request {
        let limit = Duration::from_secs(2);
        Request { method: "GET".into(), url: url.into(), headers: Vec::new(), body: None, limit }
    }

    #[test]
    fn an_answer_is_read_whole() {
        let (url, asked) = serve("HTTP/1.1 404 Not Found\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello");
        let response = request(&Request { headers: vec![("X-Q".into(), "1".into())], ..get(&url) }).unwrap();
        assert_eq!((response.status, response.body.as_str()), (404, "hello"));
        assert!(response.headers.contains(&("x-a".to_owned(), "b".to_owned())));
        let asked = asked.join().unwrap();
        assert!(asked.starts_with("GET /x HTTP/1.1\r\n") && asked.contains("X-Q: 1\r\n"), "{asked}");
    }

    #[test]
    fn a_redirection_is_an_answer() {
        let (url, asked) =
            serve("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(request(&get(&url)).unwrap().status, 302);
        asked.join().unwrap();
    }

    #[test]
    fn silence_is_said_in_plain_words() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(request(&get(&format!("http://{free}/"))), Err("the connection was refused".to_owned()));
        assert_eq!(
            connect(&free.to_string(), Duration::from_secs(1)),
            Err("the connection was refused".to_owned())
        );
        assert_eq!(
            connect("nonsense", Duration::from_secs(1)),
            Err("`nonsense` is not `host:port`".to_owned())
        );

        let (url, asked) = serve("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort");
        let cut = request(&get(&url));
        asked.join().unwrap();
        assert_eq!(cut, Err("the connection was closed without a whole answer".to_owned()));

        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", mute.local_addr().unwrap());
        let short = Request { limit: Duration::from_millis(300), ..get(&url) };
        assert_eq!(request(&short), Err("no answer within 300 ms".to_owned()));
    }

    #[test]
    fn a_line_break_starts_no_header() {
        let evil = Request { headers: vec![("X".into(), "1\r\nY: 2".into())], ..get("http://127.0.0.1:1/") };
        assert_eq!(request(&evil), Err("the header `X` contains a line break".to_owned()));
        let evil = get("http://127.0.0.1:1/ HTTP/1.1\r\nY: 2");
        assert!(request(&evil).is_err());
    }

    #[test]
    fn refusal_and_silence_mean_closed() {
        assert!(Silence::says_closed(&Silence::Refused.to_string()));
        assert!(Silence::says_closed(&Silence::TimedOut(Duration::from_secs(5)).to_string()));
        assert!(!Silence::says_closed(&Silence::NoSuchHost.to_string()));
    }
}
