//! A bucket from the environment: the variables that every S3 tool reads, and the limits of time.

use highwater_engine::checkpoint::{StoreError, StoreErrorKind};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::client::ClientConfigKey;
use object_store::{BackoffConfig, RetryConfig};
use std::time::Duration;

/// How long one request may take, bodies included: four parts of 8 MiB at a time at 9 Mbit/s.
const REQUEST: &str = "30 s";
/// How long connecting may take.
const CONNECT: &str = "3 s";

/// The bucket that these variables (`AWS_…`; others are left alone) lead to.
///
/// # Errors
/// A variable can't be understood, half of the credentials is missing, or the endpoint is not encrypted and nobody has
/// said that it may be so. Nothing was sent.
pub fn bucket(
    name: &str,
    place: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<AmazonS3, StoreError> {
    let refused = |why: String| StoreError::new(StoreErrorKind::Other, format!("can't use {place}: {why}"));
    let mut builder = AmazonS3Builder::new();
    for (key, value) in environment.filter(|(key, _)| key.starts_with("AWS_")) {
        if let Ok(key) = key.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    let given = |key: AmazonS3ConfigKey| builder.get_config_value(&key);
    let endpoint = given(AmazonS3ConfigKey::S3Endpoint).or_else(|| given(AmazonS3ConfigKey::Endpoint));
    let allowed = given(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp)).is_some_and(|v| v == "true");
    if endpoint.is_some_and(|e| !e.starts_with("https://")) && !allowed {
        let why = "its endpoint (AWS_ENDPOINT_URL) does not begin with https://: state would travel for everybody to \
                   read and change; if that is meant, set AWS_ALLOW_HTTP=true";
        return Err(refused(why.into()));
    }
    let builder = builder
        .with_bucket_name(name)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), REQUEST)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT)
        // Requests are repeated here, where it is known which of them ended unknown.
        .with_retry(RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::ZERO });
    builder.build().map_err(|e| refused(e.to_string()))
}
