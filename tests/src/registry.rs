//! A schema registry, as far as Confluent's documentation says what one answers: schemas by their id, and registered under a
//! subject. Who asks must have the [`USER`].

use crate::s3::http::{Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// `user:password`.
pub const USER: &str = "alice:canary/secret";
/// What an `Authorization` of that user is.
const AUTHORIZATION: &str = "Basic YWxpY2U6Y2FuYXJ5L3NlY3JldA==";
/// A subject whose schemas no other is compatible with.
pub const FROZEN: &str = "frozen-value";

/// The server; it ends with the process.
#[derive(Debug)]
pub struct SchemaRegistry {
    at: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    schemas: BTreeMap<u32, String>,
    /// What was registered, and under which subject.
    registered: Vec<(String, u32)>,
    requests: Vec<String>,
}

impl SchemaRegistry {
    /// A registry that has these schemas.
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(schemas: BTreeMap<u32, String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let inner = Arc::new(Mutex::new(Inner { schemas, ..Inner::default() }));
        let of_thread = inner.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let inner = of_thread.clone();
                std::thread::spawn(move || serve(&inner, &stream));
            }
        });
        Self { at, inner }
    }

    /// Its address: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Each subject under which a schema was registered, with that schema and its id.
    pub fn registered(&self) -> Vec<(String, u32, String)> {
        let inner = lock(&self.inner);
        inner.registered.iter().map(|(subject, id)| (subject.clone(), *id, inner.schemas[id].clone())).collect()
    }

    /// `GET schemas/ids/7` and the like, in order.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.inner).requests.clone()
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(inner: &Mutex<Inner>, stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader) {
        let (status, body) = lock(inner).answer(&request);
        if Response::new(status, body.to_string()).write(stream, false).is_err() {
            return;
        }
    }
}

impl Inner {
    fn answer(&mut self, request: &Request) -> (u16, Value) {
        let path = format!("{}/{}", request.bucket, request.key);
        self.requests.push(format!("{} {path}", request.method));
        let error = |status: u16, code: u32, message: &str| (status, json!({ "error_code": code, "message": message }));
        if request.header("authorization") != Some(AUTHORIZATION) {
            return error(401, 40101, "Unauthorized");
        }
        let parts: Vec<&str> = path.split('/').collect();
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["schemas", "ids", id]) => match id.parse().ok().and_then(|id: u32| self.schemas.get(&id)) {
                Some(schema) => (200, json!({ "schema": schema })),
                None => error(404, 40403, &format!("Schema {id} not found")),
            },
            ("POST", ["subjects", FROZEN, "versions"]) => {
                error(409, 409, "Schema being registered is incompatible with an earlier schema")
            }
            ("POST", ["subjects", subject, "versions"]) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let schema = body["schema"].as_str().unwrap_or_default();
                let known = self.schemas.iter().find(|(_, s)| s.as_str() == schema).map(|(id, _)| *id);
                let id = known.unwrap_or_else(|| self.schemas.keys().max().copied().unwrap_or(0) + 1);
                self.schemas.insert(id, schema.to_owned());
                self.registered.push(((*subject).to_owned(), id));
                (200, json!({ "id": id }))
            }
            _ => error(404, 404, "HTTP 404 Not Found"),
        }
    }
}
