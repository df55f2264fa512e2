//! A broker that lets nobody in without a password or a certificate, and lets users do only what was granted.

use super::{Broker, Client, MORE, free_ports};
use crate::repository;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A broker with a listener for each kind of security, beside the plain one, on which everything is allowed.
#[derive(Debug)]
pub struct Secured {
    broker: Broker,
    certificates: TempDir,
    ports: [u16; 4],
}

/// A listener of [`Secured`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// No security: everything is allowed.
    Open,
    /// SASL over TLS: PLAIN for `plain` with the password `plain-secret`, SCRAM-SHA-512 for users that the client makes.
    Sasl,
    /// TLS that asks for the client's certificate, whose name is the user's.
    Mutual,
    /// As `Sasl`, with a certificate that has expired.
    Expired,
}

impl Secured {
    /// Starts it. `None`, said loudly: there can be none here.
    ///
    /// # Panics
    /// As [`Broker::shared`]; if the JDK can't make certificates.
    pub fn start() -> Option<Self> {
        let data = Broker::folder()?;
        let certificates = tempfile::tempdir().unwrap();
        make_certificates(certificates.path());
        let [plain, controller, sasl, mutual, expired] = free_ports();
        let secured = [sasl, mutual, expired];
        std::fs::write(data.path().join(MORE), settings(plain, controller, secured, certificates.path())).unwrap();
        Some(Self {
            broker: Broker::start_in(data, [plain, controller]),
            certificates,
            ports: [plain, sasl, mutual, expired],
        })
    }

    /// Its plain listener, and Kafka's own client on it: everything is allowed there.
    pub fn client(&self) -> Client {
        self.broker.client()
    }

    /// The address of a listener.
    pub fn servers(&self, listener: Listener) -> String {
        format!("127.0.0.1:{}", self.ports[listener as usize])
    }

    /// A file of the certificates that `tests/kafka/Certificates.java` makes.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.certificates.path().join(name)
    }
}

fn make_certificates(folder: &Path) {
    let output = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "--add-exports", "java.base/sun.security.tools.keytool=ALL-UNNAMED"])
        .arg(repository().join("tests/kafka/Certificates.java"))
        .arg(folder)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the JDK makes no certificates: {error}");
}

fn settings(plain: u16, controller: u16, [sasl, mutual, expired]: [u16; 3], certificates: &Path) -> String {
    let open = format!("PLAINTEXT://127.0.0.1:{plain}");
    let secured = format!("SASL://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual},EXPIRED://127.0.0.1:{expired}");
    let file = |name: &str| certificates.join(name).display().to_string();
    let mut text = format!(
        "listeners={open},CONTROLLER://127.0.0.1:{controller},{secured}
         advertised.listeners={open},{secured}
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL,EXPIRED:SASL_SSL
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
         super.users=User:ANONYMOUS
         ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/
         listener.name.mutual.ssl.client.auth=required
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n"
    );
    for (name, keys) in [("sasl", "broker"), ("mutual", "broker"), ("expired", "expired-broker")] {
        let of = format!("listener.name.{name}");
        let modules = "org.apache.kafka.common.security";
        // Writing to memory can't fail.
        let _ = write!(
            text,
            "{of}.ssl.keystore.type=PEM
             {of}.ssl.keystore.location={}
             {of}.ssl.truststore.type=PEM
             {of}.ssl.truststore.location={}
             {of}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_plain=\"plain-secret\";
             {of}.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n",
            file(&format!("{keys}.both.pem")),
            file("ca.pem"),
        );
    }
    text
}
