//! A broker with TLS, passwords, certificates and rights: who may, reads and writes; who may not, is told why and soon.

use super::TO_THE_END;
use super::troubles::{fails, reads_with, writes_with};
use highwater_tests::kafka::{Listener, Secured};
use highwater_tests::{Setting, run};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

const PASSWORD: &str = "canary-5f1c9d";
const WRONG: &str = "canary-wrong-77ab";

type Given = Vec<(&'static str, String)>;

/// Options of a table that logs in with a password.
fn sasl(broker: &Secured, listener: Listener, mechanism: &str, user: &str, password: &str) -> Given {
    vec![
        ("properties.bootstrap.servers", broker.servers(listener)),
        ("properties.security.protocol", "SASL_SSL".into()),
        ("properties.sasl.mechanism", mechanism.into()),
        ("properties.sasl.username", user.into()),
        ("properties.sasl.password", format!("${{file:{}}}", secret(broker, password))),
        ("properties.ssl.ca.location", broker.certificate("ca.pem").display().to_string()),
    ]
}

/// Options of a table that shows a certificate.
fn mutual(broker: &Secured, name: &str) -> Given {
    vec![
        ("properties.bootstrap.servers", broker.servers(Listener::Mutual)),
        ("properties.security.protocol", "SSL".into()),
        ("properties.ssl.ca.location", broker.certificate("ca.pem").display().to_string()),
        ("properties.ssl.certificate.location", broker.certificate(&format!("{name}.pem")).display().to_string()),
        ("properties.ssl.key.location", broker.certificate(&format!("{name}.key")).display().to_string()),
    ]
}

/// A file that holds a password.
fn secret(broker: &Secured, password: &str) -> String {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let file = broker.certificate(&format!("secret-{}", FILES.fetch_add(1, Relaxed)));
    std::fs::write(&file, format!("{password}\n")).unwrap();
    file.display().to_string()
}

fn borrowed(given: &Given) -> Vec<(&str, &str)> {
    given.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn read(given: &Given, topic: &str) -> String {
    reads_with(topic, &[&borrowed(given)[..], &[TO_THE_END]].concat())
}

/// A broker with topic `theirs`, which `alice`, `plain` and `client` may read and write, and `bob` not even see; shared by
/// the tests that run at the same time.
fn broker() -> Option<Arc<Secured>> {
    static SHARED: Mutex<Weak<Secured>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let broker = Arc::new(Secured::start()?);
    *shared = Arc::downgrade(&broker);
    let mut client = broker.client();
    client.create("theirs", 1, &[]);
    client.write_keyed("theirs", [("-", r#"{"ts":"2026-01-01","n":0}"#)].into_iter());
    for user in ["alice", "bob", "reader", "seer"] {
        client.ask(&format!("user {user} {PASSWORD}"));
    }
    for user in ["alice", "plain", "client"] {
        client.ask(&format!("grant {user} READ TOPIC theirs"));
        client.ask(&format!("grant {user} WRITE TOPIC theirs"));
    }
    client.ask("grant reader READ TOPIC theirs");
    client.ask("grant seer DESCRIBE TOPIC theirs");
    Some(broker)
}

#[test]
fn passwords_and_certificates_let_rows_in_and_out() {
    let Some(broker) = broker() else { return };
    let ways = [
        sasl(&broker, Listener::Sasl, "SCRAM-SHA-512", "alice", PASSWORD),
        sasl(&broker, Listener::Sasl, "PLAIN", "plain", "plain-secret"),
        mutual(&broker, "client"),
    ];
    for (i, way) in ways.iter().enumerate() {
        run(&writes_with("theirs", &borrowed(way)), &[], Setting::of_workers(1)).unwrap_or_else(|e| panic!("{e}"));
        let outcome = run(&read(way, "theirs"), &[], Setting::of_workers(2)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(outcome.report.sources[0].rows, 10 * (i as u64 + 1) + 1, "{way:?}");
    }
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let Some(broker) = broker() else { return };
    let with = |listener, password| sasl(&broker, listener, "SCRAM-SHA-512", "alice", password);
    let mut foreign = with(Listener::Sasl, PASSWORD);
    foreign[5].1 = broker.certificate("foreign-ca.pem").display().to_string();
    let mut missing = with(Listener::Sasl, PASSWORD);
    missing[5].1 = broker.certificate("missing.pem").display().to_string();
    let mut nobody = mutual(&broker, "client");
    nobody.truncate(3);
    let mut in_clear = with(Listener::Sasl, PASSWORD);
    in_clear[0].1 = broker.servers(Listener::Open);
    let plain = vec![("properties.bootstrap.servers", broker.servers(Listener::Sasl))];
    let cases: [(Given, &[&str]); 9] = [
        (with(Listener::Sasl, WRONG), &["refuses the user or the password", "properties.sasl.password"]),
        (
            sasl(&broker, Listener::Sasl, "PLAIN", "plain", WRONG),
            &["refuses the user or the password", "properties.sasl.password"],
        ),
        (foreign, &["is not trusted", "properties.ssl.ca.location"]),
        (missing, &["properties.ssl.ca.location", "missing.pem"]),
        (with(Listener::Expired, PASSWORD), &["is not trusted", "it has expired"]),
        (mutual(&broker, "expired-client"), &["certificate", "properties.ssl.certificate.location"]),
        (nobody, &["certificate", "properties.ssl.certificate.location"]),
        (plain, &["'properties.security.protocol' = 'SSL'"]),
        (in_clear, &["does not speak TLS"]),
    ];
    for (given, words) in cases {
        for job in [read(&given, "theirs"), writes_with("theirs", &borrowed(&given))] {
            let error = fails(&job, &[], words);
            assert!(!error.contains("canary"), "{error}");
        }
    }
}

#[test]
fn who_may_not_is_told_what_to_grant() {
    let Some(broker) = broker() else { return };
    let as_user = |user| sasl(&broker, Listener::Sasl, "SCRAM-SHA-512", user, PASSWORD);
    let [bob, reader, seer] = ["bob", "reader", "seer"].map(as_user);
    fails(&read(&bob, "theirs"), &[], &["does not let this user see topic theirs", "DESCRIBE"]);
    fails(&writes_with("theirs", &borrowed(&bob)), &[], &["does not let this user see topic theirs", "DESCRIBE"]);
    fails(&read(&seer, "theirs"), &[], &["does not let this user read topic theirs", "READ"]);
    fails(&writes_with("theirs", &borrowed(&reader)), &[], &["does not let this user write to topic theirs", "WRITE"]);
}
