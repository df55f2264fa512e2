//! Requests, sent until they are taken.

use super::hosts::{VARIABLE, check, origin};
use super::options::HttpOptions;
use crate::driver::Driver;
use crate::secret::expand;
use highwater_engine::error::SinkError;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use std::error::Error as _;
use std::time::{Duration, Instant};

/// The first wait before a request is sent again; it doubles.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait that doubling comes to.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The longest wait that an answer may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Bytes of an answer that are read so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// An address and the way to it.
#[derive(Debug)]
pub struct Endpoint {
    driver: Driver,
    client: Client,
    url: Url,
    method: Method,
}

/// What one try came to.
enum Outcome {
    Taken,
    /// Nobody knows whether it was taken, or it was not and may be later. Why, and how long to wait at least.
    Again(String, Duration),
    Refused(String),
}

impl Endpoint {
    /// Resolves all references and looks whether the host may be called. Nothing is sent.
    ///
    /// # Errors
    /// A reference that leads nowhere, a host that may not be called.
    pub fn open(options: &HttpOptions) -> Result<Self, String> {
        let url = expand(&options.url).map_err(|e| format!("option 'url': {e}"))?;
        // No text of it in the message: it may hold a secret.
        let url = Url::parse(&url).map_err(|e| format!("option 'url' is no address with its references: {e}"))?;
        check(&url, std::env::var(VARIABLE).ok().as_deref()).map_err(|e| format!("option 'url': {e}"))?;
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        for (name, text) in &options.headers {
            let wrong = |what: &str| format!("option 'header.{name}': {what}");
            let value = expand(text).map_err(|e| wrong(&e))?;
            let mut value =
                HeaderValue::from_str(&value).map_err(|_| wrong("has characters that a header can't hold"))?;
            value.set_sensitive(true);
            headers
                .insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("is no name of a header"))?, value);
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(options.connect_timeout)
            .timeout(options.request_timeout)
            .user_agent(concat!("highwater/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .build()
            .map_err(|e| format!("no client of HTTP: {e}"))?;
        let method = if options.method == "PUT" { Method::PUT } else { Method::POST };
        let driver = Driver::start("http").map_err(|e| format!("can't start a thread for requests: {e}"))?;
        Ok(Self { driver, client, url, method })
    }

    /// Sends a body until it is taken, at most for `patience`.
    ///
    /// # Errors
    /// The other side refuses it; or it could not be given to it in this time: then waiting may help.
    pub fn send(&self, body: &[u8], key: &str, patience: Duration) -> Result<(), SinkError> {
        let (until, mut wait) = (Instant::now() + patience, WAIT_MIN);
        loop {
            let (why, least) = match self.driver.run(self.once(body.to_vec(), key)) {
                Outcome::Taken => return Ok(()),
                Outcome::Refused(why) => return Err(SinkError::new(format!("{}: {why}", origin(&self.url)))),
                Outcome::Again(why, least) => (why, least),
            };
            let pause = wait.max(least);
            if Instant::now() + pause >= until {
                return Err(SinkError { full: true, ..SinkError::new(format!("{}: {why}", origin(&self.url))) });
            }
            tracing::debug!(target: "highwater::http", key, "{}: {why}; again in {pause:?}", origin(&self.url));
            std::thread::sleep(pause);
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    async fn once(&self, body: Vec<u8>, key: &str) -> Outcome {
        let request = self.client.request(self.method.clone(), self.url.clone()).header("Idempotency-Key", key);
        match request.body(body).send().await {
            Ok(response) => {
                let outcome = judge(&response);
                drain(response).await;
                outcome
            }
            Err(error) => Outcome::Again(in_words(&error), Duration::ZERO),
        }
    }
}

fn judge(response: &Response) -> Outcome {
    let status = response.status();
    let says = format!("answers {}", status.as_u16());
    match status {
        _ if status.is_success() => Outcome::Taken,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Outcome::Again(says, retry_after(response))
        }
        _ if status.is_server_error() => Outcome::Again(says, retry_after(response)),
        _ if status.is_redirection() => Outcome::Refused(
            says + ", which leads elsewhere; redirects are not followed: set 'url' to where rows are taken",
        ),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Outcome::Refused(says + ": it does not let this job in; check 'header.Authorization' or what it asks for")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            Outcome::Refused(says + ": the request is too large; lower 'sink.batch.max-size'")
        }
        _ => Outcome::Refused(says + ": it does not take these rows; nothing is dropped, so the job ends"),
    }
}

/// The whole seconds of `Retry-After`; a date there is left aside.
fn retry_after(response: &Response) -> Duration {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or(0)).min(RETRY_AFTER_MAX)
}

/// Reads what is left of a short answer.
async fn drain(mut response: Response) {
    let mut bytes = 0;
    while let Ok(Some(piece)) = response.chunk().await {
        bytes += piece.len();
        if bytes > ANSWER_BYTES_MAX {
            return;
        }
    }
}

/// Why there is no answer, without the address.
fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "does not answer in time ('connect.timeout', 'request.timeout')".into();
    }
    let mut cause = error.source();
    let mut words = String::new();
    while let Some(error) = cause {
        words = error.to_string();
        cause = error.source();
    }
    let what = if error.is_connect() { "can't be reached" } else { "gives no answer" };
    format!("{what} ({words})")
}
