//! What a trouble of the client means, and what to do about it.

use super::client::{Consumer, Context};
use highwater_engine::error::SinkError;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::time::Duration;

/// Why a broker that is there does not talk to us. Waiting does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It does not know the user, or the password is another one.
    User,
    /// It can't prove that it is the broker.
    Broker,
    /// It does not take our certificate.
    Certificate,
    /// It wants TLS, we don't.
    NeedsTls,
    /// We want TLS, it does not.
    NoTls,
}

impl Cause {
    /// Told by the client's words: it has no code that would do.
    pub fn of(words: &str, in_clear: bool) -> Option<Self> {
        let has = |text: &str| words.contains(text);
        if has("SASL authentication error") || has("SaslAuthenticate") || has("Unsupported SASL mechanism") {
            return Some(Self::User);
        }
        if has("certificate verify failed") || has("certificate could not be verified") {
            return Some(Self::Broker);
        }
        if has("alert") && (has("certificate") || has("unknown ca")) {
            return Some(Self::Certificate);
        }
        if has("PLAINTEXT broker listener")
            || has("wrong version number")
            || has("packet length too long")
            || has("http request")
        {
            return Some(Self::NoTls);
        }
        (in_clear && has("Disconnected") && has("APIVERSION_QUERY")).then_some(Self::NeedsTls)
    }

    fn told(self, servers: &str) -> String {
        match self {
            Self::User => format!(
                "{servers} refuses the user or the password; check properties.sasl.username, properties.sasl.password and \
                 properties.sasl.mechanism"
            ),
            Self::Broker => format!(
                "the certificate of {servers} is not trusted: it has expired, is for another host name, or none of \
                 properties.ssl.ca.location has signed it; renew it, or check that file"
            ),
            Self::Certificate => format!(
                "{servers} does not take the client's certificate: there is none, it has expired, or the broker does not know \
                 who has signed it; check properties.ssl.certificate.location and properties.ssl.key.location"
            ),
            Self::NeedsTls => format!(
                "{servers} closes the connection at once; does it ask for TLS? Set 'properties.security.protocol' = 'SSL' or \
                 'SASL_SSL'"
            ),
            Self::NoTls => format!(
                "{servers} does not speak TLS; check the port in properties.bootstrap.servers, or set \
                 'properties.security.protocol' = 'PLAINTEXT' or 'SASL_PLAINTEXT'"
            ),
        }
    }
}

/// What an error means, with what the client has heard last.
pub fn explain(client: &Consumer, servers: &str, error: &KafkaError) -> String {
    // The client's own words come by its queue.
    for _ in 0..64 {
        if client.poll(Duration::ZERO).is_none() && client.context().trouble().is_some() {
            break;
        }
    }
    told(client.context(), servers, error)
}

/// What an error means.
pub fn told(context: &Context, servers: &str, error: &KafkaError) -> String {
    let (code, words) = (error.rdkafka_error_code(), context.trouble());
    let words = words.map(|t| format!(" ({t})")).unwrap_or_default();
    let cause = match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => Some(Cause::User),
        Some(Code::SSL) => context.cause().or(Some(Cause::Broker)),
        Some(code) if is_away(code) => context.cause(),
        _ => None,
    };
    match (cause, code) {
        (Some(cause), _) => cause.told(servers) + &words,
        (None, Some(code)) if is_away(code) => {
            format!("no broker of {servers} answers{words}; start it, or check properties.bootstrap.servers")
        }
        _ => format!("{error}{words}"),
    }
}

/// Whether an error says that no broker can be reached now: it may pass.
pub fn is_away(code: Code) -> bool {
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::TimedOutQueue
            | Code::NetworkException
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::NotEnoughReplicas
            | Code::OffsetNotAvailable
            | Code::NotEnoughReplicasAfterAppend
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::BrokerNotAvailable
            | Code::KafkaStorageError
            | Code::ConcurrentTransactions
            | Code::PurgeQueue
            | Code::PurgeInflight
            | Code::WaitingForCoordinator
            | Code::Retry
    )
}

/// An error of a sink whose broker may come back.
pub fn away(message: String) -> SinkError {
    SinkError { full: true, ..SinkError::new(message) }
}

/// What to say to a user who may not: `read`, `topic payments`, `READ`.
pub fn forbidden(what: &str, on: &str, right: &str) -> String {
    format!("the broker does not let this user {what} {on}; grant it {right}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of librdkafka 2.x with OpenSSL 3, as a broker of Kafka 4 made it say them.
    #[test]
    fn the_cause_is_told_by_the_clients_words() {
        for (words, in_clear, cause) in [
            (
                "SASL authentication error: Authentication failed: Invalid username or password",
                false,
                Some(Cause::User),
            ),
            (
                "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker",
                false,
                Some(Cause::Broker),
            ),
            (
                "Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL",
                false,
                Some(Cause::Certificate),
            ),
            (
                "Disconnected: connection closed by peer (after 2ms in state APIVERSION_QUERY)",
                true,
                Some(Cause::NeedsTls),
            ),
            ("Disconnected: connection closed by peer (after 2ms in state APIVERSION_QUERY)", false, None),
            (
                "SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener?",
                false,
                Some(Cause::NoTls),
            ),
            ("Connect to ipv4#127.0.0.1:1 failed: Connection refused", true, None),
        ] {
            assert_eq!(Cause::of(words, in_clear), cause, "{words}");
        }
    }
}
