//! HTTP/1.1 as far as a client of S3 uses it: one request after the other on a connection, bodies with their length.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

/// A request.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub bucket: String,
    /// The object's key, decoded; empty for the bucket itself.
    pub key: String,
    pub query: BTreeMap<String, String>,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    /// The next request; `None` when the connection ends.
    pub fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(Some(0), |l| l.parse().ok())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let path = decoded(path.trim_start_matches('/'));
        let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let pair = |p: &str| p.split_once('=').map_or((decoded(p), String::new()), |(k, v)| (decoded(k), decoded(v)));
        let query = query.split('&').filter(|p| !p.is_empty()).map(pair).collect();
        Some(Self { method, bucket, key, query, headers, body })
    }

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        match (first, digits.and_then(|d| u8::from_str_radix(d, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = behind;
            }
            (byte, _) => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    cut_short: bool,
}

impl Response {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut_short: false }
    }

    pub fn xml(body: &str) -> Self {
        Self::new(200, format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}"))
            .with("content-type", "application/xml")
    }

    pub fn error(status: u16, code: &str) -> Self {
        let mut response =
            Self::xml(&format!("<Error><Code>{code}</Code><Message>as the test wants</Message></Error>"));
        response.status = status;
        response
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Loses half of its body on the way.
    pub fn cut_short(self) -> Self {
        Self { cut_short: true, ..self }
    }

    pub fn is_cut_short(&self) -> bool {
        self.cut_short
    }

    /// Sends it; to HEAD without its body.
    pub fn write(&self, mut to: impl Write, head: bool) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {} -\r\ncontent-length: {}\r\n", self.status, self.body.len());
        self.headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
        text += "\r\n";
        let sent = if self.cut_short { &self.body[..self.body.len() / 2] } else { &self.body };
        to.write_all(text.as_bytes())?;
        if !head {
            to.write_all(sent)?;
        }
        to.flush()
    }
}
