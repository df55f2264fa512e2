//! The options of tables on HTTP.

use crate::format::csv::CsvOptions;
use crate::format::json::JsonOptions;
use crate::options::Options;
use crate::secret::has_reference;
use crate::types;
use arrow_schema::Schema;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use std::time::Duration;

/// What a table asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Where rows go, references unresolved.
    pub url: String,
    /// `POST` or `PUT`.
    pub method: &'static str,
    /// Names and values, references unresolved.
    pub headers: Vec<(String, String)>,
    /// Rows of a request; 1: no array.
    pub batch_rows: usize,
    /// How rows are written.
    pub json: JsonOptions,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long a request is sent again.
    pub retry_timeout: Duration,
}

/// Rows that a request may hold.
const BATCH_ROWS_MAX: i64 = 10_000;
/// A day, in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// What the connector sets itself.
const OWN_HEADERS: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "transfer-encoding",
];
/// Headers with one of these words in their name hold secrets.
const SECRETS: [&str; 7] = ["auth", "cookie", "credential", "key", "password", "secret", "token"];

impl HttpOptions {
    /// Reads the options; what is wrong is noted in `o`.
    pub fn parse(o: &mut Options, schema: &Schema) -> Self {
        let url = o.required("url", "https://hooks.example.com/alerts").to_owned();
        if !url.is_empty()
            && let Err(error) = check_url(&url)
        {
            o.error("url", error);
        }
        o.required("format", "json");
        if !o.has_error("format") {
            o.choice("format", &["json"]);
        }
        o.unused(&CsvOptions::NAMES, "is an option of format 'csv', the table's format is 'json'; remove it");
        for field in schema.fields().iter().filter(|f| !types::is_supported(f.data_type())) {
            let sql = highwater_engine::graph::types::sql_type(field.data_type());
            o.error("format", format!("JSON can't hold column {} of type {sql}; CAST it", field.name()));
        }
        let method = o.choice("method", &["POST", "PUT"]);
        let headers = headers(o);
        let batch_rows = o.integer("sink.batch.max-size", 1..=BATCH_ROWS_MAX, 1) as usize;
        let mut duration = |name: &'static str, default_ms: i64| {
            Duration::from_millis(o.duration_ms(name, 1..=DAY_MS, default_ms).unsigned_abs())
        };
        let connect_timeout = duration("connect.timeout", 5_000);
        let request_timeout = duration("request.timeout", 30_000);
        let retry_timeout = duration("retry.timeout", 120_000);
        let json = JsonOptions::parse(o);
        Self { url, method, headers, batch_rows, json, connect_timeout, request_timeout, retry_timeout }
    }
}

/// The host stands in the text; behind it there may be references.
fn check_url(text: &str) -> Result<(), String> {
    let example = "write e.g. 'https://hooks.example.com/alerts'";
    let literal = text.find("${").map_or(text, |at| &text[..at]);
    let url = Url::parse(literal).map_err(|e| format!("is no address ({e}); {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("is no address of HTTP; {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or a password; give them as 'header.Authorization' = 'Basic ${env:NAME}'".into());
    }
    let has_path = literal.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if literal.len() < text.len() && !has_path {
        return Err("has a reference in its host; write the host itself: only what is behind it may be a secret".into());
    }
    if text.contains('#') {
        return Err("has a part behind '#', which is never sent; remove it".into());
    }
    Ok(())
}

fn headers(o: &mut Options) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in o.family("header.*") {
        let (option, lower) = (format!("header.{name}"), name.to_ascii_lowercase());
        let secret = SECRETS.iter().any(|word| lower.contains(word));
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            o.error(&option, format!("{name:?} is no name of a header"));
        } else if OWN_HEADERS.contains(&lower.as_str()) {
            o.error(&option, "is set by the connector; remove it");
        } else if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            o.error(&option, "stands twice, in capital and in small letters; remove one");
        } else if secret && !has_reference(value) {
            o.error(&option, "is a secret; keep it out of the job: 'Bearer ${env:NAME}' or '${file:PATH}'");
        } else if !has_reference(value) && HeaderValue::from_str(value).is_err() {
            o.error(&option, "has characters that a header can't hold");
        }
        headers.push((name.to_owned(), value.to_owned()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn errors(more: &[(&str, &str)]) -> Vec<String> {
        let given = [("url", "https://hooks.example.com/alerts"), ("format", "json")];
        let all: BTreeMap<String, String> =
            given.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut o = Options::new("http", &all);
        HttpOptions::parse(&mut o, &Schema::empty());
        o.finish().into_iter().map(|e| format!("{}: {}", e.option, e.message)).collect()
    }

    #[test]
    fn what_is_wrong_is_named_with_what_to_write() {
        assert_eq!(errors(&[]), [""; 0]);
        assert_eq!(
            errors(&[("header.Authorization", "Bearer ${env:TOKEN}"), ("header.X-Source", "highwater")]),
            [""; 0]
        );
        assert_eq!(errors(&[("url", "https://hooks.example.com/services/${env:HOOK}")]), [""; 0]);
        for (option, value, says) in [
            ("url", "hooks.example.com", "is no address"),
            ("url", "ftp://hooks.example.com/", "is no address of HTTP"),
            ("url", "https://user:pass@hooks.example.com/", "holds a user or a password"),
            ("url", "https://${env:HOST}/alerts", "is no address"),
            ("url", "https://hooks${env:HOST}/alerts", "has a reference in its host"),
            ("url", "https://hooks.example.com/#here", "behind '#'"),
            ("header.Authorization", "Bearer abc", "is a secret"),
            ("header.X-Api-Key", "abc", "is a secret"),
            ("header.Host", "other", "is set by the connector"),
            ("header.idempotency-key", "1", "is set by the connector"),
            ("header.a b", "1", "is no name of a header"),
            ("header.X-A", "a\nb", "characters that a header can't hold"),
            ("header.", "a", "unknown option"),
            ("format", "csv", "is unknown; use 'json'"),
            ("csv.header", "true", "is an option of format 'csv'"),
            ("method", "GET", "is unknown"),
            ("sink.batch.max-size", "0", "out of range"),
            ("sink.batch.max-sise", "1", "'sink.batch.max-size'"),
        ] {
            let found = errors(&[(option, value)]);
            assert!(found.len() == 1 && found[0].starts_with(option) && found[0].contains(says), "{value}: {found:?}");
        }
    }
}
