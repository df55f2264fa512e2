//! What an error of an object store means for a job, and in which words it is told.
//!
//! The client gives a status and the body of an answer only inside the text of an error, so they are read from there; the
//! tests against a server keep that true.

use highwater_engine::checkpoint::{StoreError, StoreErrorKind};
use object_store::Error;
use object_store::client::HttpError;
use std::error::Error as _;

/// What went wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such object.
    NoObject,
    /// There is no such bucket.
    NoBucket,
    /// A condition did not hold: the object is there already, or is another one.
    Condition,
    /// The other side does not know how to do this.
    Unsupported,
    /// Not with these credentials.
    Denied,
    /// A quota is used up.
    Full,
    /// The other side can't be reached, is overloaded or broken; nobody knows what became of the request.
    Unavailable,
    /// No credentials were given, and this machine has none.
    NoCredentials,
    /// The bucket is somewhere else.
    Elsewhere,
    /// Anything else.
    Other,
}

/// The address at which a machine asks for its own credentials.
const METADATA: &str = "http://169.254.";

/// What an error means.
pub fn of(error: &Error) -> Trouble {
    let text = error.to_string();
    let says = |word: &str| text.contains(word);
    if says(METADATA) {
        return Trouble::NoCredentials;
    }
    if says("NoSuchBucket") {
        return Trouble::NoBucket;
    }
    if ["QuotaExceeded", "StorageFull", "InsufficientStorage", "cap exceeded"].iter().any(|w| says(w)) {
        return Trouble::Full;
    }
    match error {
        Error::NotFound { .. } => return Trouble::NoObject,
        Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. } => {
            return Trouble::Condition;
        }
        Error::NotImplemented { .. } | Error::NotSupported { .. } => return Trouble::Unsupported,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => return Trouble::Denied,
        _ => (),
    }
    match status(&text) {
        Some(404) => Trouble::NoObject,
        Some(401 | 403) => Trouble::Denied,
        Some(400) if says("Token") || says("AuthorizationHeaderMalformed") => Trouble::Denied,
        Some(409 | 412) => Trouble::Condition,
        Some(501) => Trouble::Unsupported,
        Some(507) => Trouble::Full,
        Some(301 | 307 | 308) => Trouble::Elsewhere,
        Some(408 | 429 | 500..) => Trouble::Unavailable,
        Some(_) => Trouble::Other,
        None if says("redirect without LOCATION") => Trouble::Elsewhere,
        // A success whose body says that it is none.
        None if says("InternalError") || says("SlowDown") => Trouble::Unavailable,
        None if transport(error).is_some() => Trouble::Unavailable,
        None => Trouble::Other,
    }
}

/// The status of an answer.
fn status(text: &str) -> Option<u16> {
    text.split_once("status code: ")?.1.get(..3)?.parse().ok()
}

/// The error of the connection, if it is one.
fn transport(error: &Error) -> Option<&HttpError> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref() {
            return Some(error);
        }
        source = inner.source();
    }
    None
}

/// What a failed request is told as: `doing` is `write`, `place` the object.
pub fn told(doing: &str, place: &str, error: &Error) -> StoreError {
    use StoreErrorKind as Kind;
    let (kind, cure) = match of(error) {
        Trouble::Denied => (
            Kind::Denied,
            "; these credentials need the right to read, write, list and delete there, or set others \
             (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN)",
        ),
        Trouble::NoCredentials => (
            Kind::Denied,
            "; no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set, and this machine gives no credentials: set them",
        ),
        Trouble::Full => (Kind::Full, "; raise the bucket's quota or free some space in it"),
        Trouble::Unavailable => {
            (Kind::Unavailable, "; is the endpoint right and within reach (AWS_ENDPOINT_URL, AWS_REGION)?")
        }
        Trouble::NoBucket => (Kind::Other, "; create the bucket or correct the address"),
        Trouble::Elsewhere => (Kind::Other, "; set AWS_REGION to the bucket's region"),
        Trouble::Condition => (Kind::Other, "; somebody else writes there too"),
        Trouble::NoObject | Trouble::Unsupported | Trouble::Other => (Kind::Other, ""),
    };
    StoreError::new(kind, format!("can't {doing} {place}: {}{cure}", cause(error)))
}

/// The cause without the layers it came through.
fn cause(error: &Error) -> String {
    let text = error.to_string();
    if let Some((_, answer)) = text.split_once("status code: ") {
        let status = answer.split(": ").next().unwrap_or(answer);
        let element = |name: &str| {
            let (_, rest) = answer.split_once(&format!("<{name}>"))?;
            Some(rest.split_once("</")?.0.to_owned())
        };
        let said: Vec<String> = ["Code", "Message"].iter().filter_map(|name| element(name)).collect();
        return if said.is_empty() { status.to_owned() } else { format!("{status}, {}", said.join(": ")) };
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(inner) = deepest.source() {
        deepest = inner;
    }
    deepest.to_string()
}
