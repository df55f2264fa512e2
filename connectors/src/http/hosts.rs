//! Which hosts a job may call, for sinks and for schemas: `HIGHWATER_HTTP_HOSTS=hooks.example.com,alerts.internal:8443`.
//!
//! An entry is a host, with a port if that is not 443. Rows travel encrypted, unless an entry says otherwise:
//! `http://127.0.0.1:8080`. Without the variable no host may be called.

use reqwest::Url;

/// The variable with the hosts.
pub const VARIABLE: &str = "HIGHWATER_HTTP_HOSTS";

/// Whether an address is among the `allowed` hosts.
///
/// # Errors
/// It is not; the message says what to add where.
pub fn check(url: &Url, allowed: Option<&str>) -> Result<(), String> {
    let entries = allowed.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
    if entries.into_iter().any(|entry| names(entry, url)) {
        return Ok(());
    }
    let needed = match (url.scheme(), url.host_str().unwrap_or_default(), url.port()) {
        ("https", host, None) => host.to_owned(),
        ("https", host, Some(port)) => format!("{host}:{port}"),
        _ => origin(url),
    };
    Err(format!("{} is no host that jobs may call; whoever runs the job allows it by {VARIABLE}={needed}", origin(url)))
}

/// What of an address may be shown: paths may hold secrets.
pub fn origin(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

fn names(entry: &str, url: &Url) -> bool {
    let entry = if entry.contains("://") { entry.to_owned() } else { format!("https://{entry}") };
    let Ok(entry) = Url::parse(&entry) else { return false };
    let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    let plain = entry.path() == "/" && entry.query().is_none() && entry.username().is_empty();
    // Who may be called in the clear may be called encrypted.
    let secured = |url: &Url| {
        (entry.scheme() == "http" && url.scheme() == "https") && {
            (entry.host_str(), entry.port()) == (url.host_str(), url.port())
        }
    };
    plain && (place(&entry) == place(url) || secured(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_one_by_one_with_their_ports_and_whether_in_the_clear() {
        let allowed = "hooks.example.com, alerts.internal:8443,http://127.0.0.1:8080,http://[::1]:9,http://plain";
        for (url, is) in [
            ("https://hooks.example.com/a?b", true),
            ("https://HOOKS.example.com:443/a", true),
            ("https://hooks.example.com:444/a", false),
            ("http://hooks.example.com/a", false),
            ("https://example.com/", false),
            ("https://a.hooks.example.com/", false),
            ("https://hooks.example.com.evil.net/", false),
            ("https://hooks.example.com@evil.net/", false),
            ("https://alerts.internal:8443/", true),
            ("https://alerts.internal/", false),
            ("http://127.0.0.1:8080/x", true),
            ("https://127.0.0.1:8080/x", true),
            ("http://127.0.0.1:8081/x", false),
            ("http://2130706433:8080/x", true),
            ("http://localhost:8080/x", false),
            ("http://[::1]:9/", true),
            ("http://plain/", true),
            ("https://plain/", true),
            ("http://169.254.169.254/latest/meta-data", false),
        ] {
            assert_eq!(check(&Url::parse(url).unwrap(), Some(allowed)).is_ok(), is, "{url}");
        }
    }

    #[test]
    fn without_hosts_none_may_be_called_and_the_error_says_what_to_add() {
        let url = |text: &str| Url::parse(text).unwrap();
        let error = check(&url("https://hooks.example.com/s3cret"), None).unwrap_err();
        assert!(error.contains("HIGHWATER_HTTP_HOSTS=hooks.example.com") && !error.contains("s3cret"), "{error}");
        let error = check(&url("http://127.0.0.1:80/"), Some(" ,")).unwrap_err();
        assert!(error.ends_with("HIGHWATER_HTTP_HOSTS=http://127.0.0.1"), "{error}");
        assert!(check(&url("https://a/"), Some("*")).is_err());
    }
}
