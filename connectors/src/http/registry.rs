//! A schema registry, asked as Confluent's is: `GET /schemas/ids/7`, `POST /subjects/payments-value/versions`.

use super::hosts::{VARIABLE, check, origin};
use crate::driver::Driver;
use crate::format::avro::messages::Schemas;
use crate::options::Options;
use crate::secret::{has_reference, resolve};
use highwater_engine::error::SourceError;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a registry is asked again that does not answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(4);
/// The pause between requests.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

const URL: &str = "avro-confluent.url";
const SUBJECT: &str = "avro-confluent.subject";
const USER: &str = "avro-confluent.basic-auth.user-info";
const TOKEN: &str = "avro-confluent.bearer-auth.token";

/// Where schemas are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryOptions {
    /// The address that paths begin with.
    pub url: String,
    /// Where a sink registers its schema.
    pub subject: Option<String>,
    /// `user:password`, a reference.
    pub user: Option<String>,
    /// A bearer's token, a reference.
    pub token: Option<String>,
}

impl RegistryOptions {
    /// The names of the options.
    pub const NAMES: [&'static str; 4] = [URL, SUBJECT, USER, TOKEN];

    /// Reads the options; what is wrong is noted in `o`.
    pub fn parse(o: &mut Options) -> Self {
        let url = o.required(URL, "https://registry.example.com").to_owned();
        if !url.is_empty() && !Url::parse(&url).is_ok_and(|url| is_plain(&url)) {
            let example = "write e.g. 'https://registry.example.com'";
            o.error(URL, format!("is no address of a registry, without a user and a password; {example}"));
        }
        let subject = o.text(SUBJECT).map(str::to_owned);
        let mut secret = |name: &'static str| {
            let value = o.text(name)?;
            if !has_reference(value) {
                o.error(name, "is a secret; keep it out of the job: '${env:NAME}' or '${file:PATH}'");
            }
            Some(value.to_owned())
        };
        let (user, token) = (secret(USER), secret(TOKEN));
        if user.is_some() && token.is_some() {
            o.error(TOKEN, format!("is set, and '{USER}' too; remove one"));
        }
        Self { url, subject, user, token }
    }
}

fn is_plain(url: &Url) -> bool {
    let unnamed = url.username().is_empty() && url.password().is_none();
    matches!(url.scheme(), "http" | "https") && url.has_host() && unnamed && url.query().is_none()
}

/// A registry and what it has said.
pub struct Registry {
    driver: Driver,
    client: Client,
    base: String,
    /// What may be shown of it.
    origin: String,
    known: Mutex<BTreeMap<u32, Result<Arc<str>, String>>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Registry({})", self.origin)
    }
}

/// An answer: its status and its text.
type Answer = (StatusCode, Value);

impl Registry {
    /// Resolves references and looks whether the host may be called. Nothing is sent.
    ///
    /// # Errors
    /// A reference that leads nowhere, a host that may not be called.
    pub fn open(options: &RegistryOptions) -> Result<Self, String> {
        let url = Url::parse(&options.url).map_err(|e| format!("option '{URL}': {e}"))?;
        check(&url, std::env::var(VARIABLE).ok().as_deref()).map_err(|e| format!("option '{URL}': {e}"))?;
        let mut headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static(MEDIA_TYPE)),
            (CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)),
        ]);
        let mut authorize = |option: &str, given: &Option<String>, text: fn(&str) -> String| -> Result<(), String> {
            let Some(given) = given else { return Ok(()) };
            let secret = resolve(given).map_err(|e| format!("option '{option}': {e}"))?;
            let value = HeaderValue::from_str(&text(&secret));
            let mut value = value.map_err(|_| format!("option '{option}' has characters that a header can't hold"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
            Ok(())
        };
        authorize(USER, &options.user, |user| {
            let mut encoded = Vec::new();
            crate::format::values::base64_encode(user.as_bytes(), &mut encoded);
            format!("Basic {}", String::from_utf8_lossy(&encoded))
        })?;
        authorize(TOKEN, &options.token, |token| format!("Bearer {token}"))?;
        let client = Client::builder().redirect(Policy::none()).timeout(REQUEST).default_headers(headers).build();
        let client = client.map_err(|e| format!("no client of HTTP: {e}"))?;
        let driver = Driver::start("registry").map_err(|e| format!("can't start a thread for requests: {e}"))?;
        let base = options.url.trim_end_matches('/').to_owned();
        Ok(Self { driver, client, base, origin: origin(&url), known: Mutex::default() })
    }

    /// Registers a schema under a subject, or finds it there: its id.
    ///
    /// # Errors
    /// The registry does not take it, or does not answer.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, String> {
        let mut url = Url::parse(&self.base).map_err(|e| e.to_string())?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["subjects", subject, "versions"]);
        }
        let (status, answer) = self.ask(&url, Some(&json!({ "schema": schema })))?;
        let id = answer["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        id.filter(|_| status.is_success()).ok_or_else(|| match status {
            StatusCode::CONFLICT => format!(
                "{}: the table's schema is not compatible with those of subject {subject} ({}); change the table's columns, \
                 or the subject's compatibility",
                self.origin,
                said(&answer)
            ),
            _ => self.refusal(status, &answer, &format!("does not register the table's schema under {subject}")),
        })
    }

    /// What a schema is; `Err` if it is none that can be read.
    fn fetch(&self, id: u32) -> Result<Result<Arc<str>, String>, String> {
        let url = Url::parse(&format!("{}/schemas/ids/{id}", self.base)).map_err(|e| e.to_string())?;
        let (status, answer) = self.ask(&url, None)?;
        if status == StatusCode::NOT_FOUND {
            return Ok(Err(format!("is not in the registry {}", self.origin)));
        }
        let kind = answer["schemaType"].as_str().unwrap_or("AVRO");
        let referring = answer["references"].as_array().is_some_and(|r| !r.is_empty());
        match answer["schema"].as_str() {
            Some(_) if kind != "AVRO" => Ok(Err(format!("is one of {kind}, not of Avro"))),
            Some(_) if referring => {
                Ok(Err("refers to other schemas, which is not supported; register it whole".into()))
            }
            Some(schema) if status.is_success() => Ok(Ok(schema.into())),
            _ => Err(self.refusal(status, &answer, &format!("does not give schema {id}"))),
        }
    }

    fn refusal(&self, status: StatusCode, answer: &Value, what: &str) -> String {
        let cure = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => format!("; check '{USER}' or '{TOKEN}'"),
            _ => String::new(),
        };
        format!("{} {what}: it answers {}{}{cure}", self.origin, status.as_u16(), said(answer))
    }

    /// Asks until there is an answer that asking again does not change.
    fn ask(&self, url: &Url, body: Option<&Value>) -> Result<Answer, String> {
        let until = Instant::now() + PATIENCE;
        let mut told = false;
        loop {
            let why = match self.driver.run(self.once(url, body)) {
                Ok((status, answer)) if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                    return Ok((status, answer));
                }
                Ok((status, _)) => format!("answers {}", status.as_u16()),
                Err(error) if error.is_timeout() => "does not answer in time".into(),
                Err(error) if error.is_connect() => "can't be reached".into(),
                Err(_) => "gives no answer".into(),
            };
            if Instant::now() + PAUSE >= until {
                return Err(format!("the schema registry {} {why}; see whether it runs, and '{URL}'", self.origin));
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!("the schema registry {} {why}; it is asked again", self.origin);
            }
            std::thread::sleep(PAUSE);
        }
    }

    async fn once(&self, url: &Url, body: Option<&Value>) -> Result<Answer, reqwest::Error> {
        let request = match body {
            None => self.client.get(url.clone()),
            Some(body) => self.client.post(url.clone()).body(body.to_string()),
        };
        let mut response = request.send().await?;
        let (status, mut text) = (response.status(), Vec::new());
        while let Some(piece) = response.chunk().await? {
            text.extend_from_slice(&piece);
            if text.len() > ANSWER_BYTES_MAX {
                return Ok((status, Value::Null));
            }
        }
        Ok((status, serde_json::from_slice(&text).unwrap_or_default()))
    }
}

impl Schemas for Registry {
    fn schema(&self, id: u32) -> Result<Result<Arc<str>, String>, SourceError> {
        // Held while it is asked: other partitions want the same schema.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = known.get(&id) {
            return Ok(schema.clone());
        }
        let schema = self.fetch(id).map_err(SourceError::new)?;
        known.insert(id, schema.clone());
        Ok(schema)
    }
}

/// What an answer says of an error.
fn said(answer: &Value) -> String {
    let message: Option<String> = answer["message"].as_str().map(|m| m.chars().take(200).collect());
    message.map(|m| format!(" ({m})")).unwrap_or_default()
}
