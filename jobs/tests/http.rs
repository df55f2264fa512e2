//! Rows to a webhook that fails, stalls and hangs up: each is taken, in order, and repeats are told by their key.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as the hook saw it.
#[derive(Clone, Debug)]
struct Request {
    head: BTreeMap<String, String>,
    line: String,
    body: String,
}

impl Request {
    fn key(&self) -> &str {
        &self.head["idempotency-key"]
    }
}

/// What the hook does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Take,
    /// Takes it and does not say so: the connection ends.
    HangUp,
    /// Takes it and says so when nobody waits any more.
    Stall,
    /// Does not take it: a status, with other headers.
    Refuse(&'static str),
}

/// A webhook on this machine.
struct Hook {
    address: String,
    /// What it has taken, repeats included.
    taken: Arc<Mutex<Vec<Request>>>,
    /// All requests.
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Hook {
    /// `answer` decides by the number of the request.
    fn start(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (taken, seen, answer) = (Arc::default(), Arc::<Mutex<Vec<Request>>>::default(), Arc::new(answer));
        let hook = Self { address, taken: Arc::clone(&taken), seen: seen.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (taken, seen, answer) = (Arc::clone(&taken), seen.clone(), answer.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), &taken, &seen, answer.as_ref()));
            }
        });
        hook
    }

    /// Rows in the order in which they were first taken. A key stands for the same rows whenever it comes.
    fn rows(&self) -> Vec<String> {
        let mut bodies = BTreeMap::<String, String>::new();
        let mut rows = Vec::new();
        for request in self.taken.lock().unwrap().iter() {
            match bodies.insert(request.key().to_owned(), request.body.clone()) {
                Some(before) => assert_eq!(before, request.body, "a key has other rows than before"),
                None => rows.extend(rows_of(&request.body)),
            }
        }
        rows
    }

    fn repeats(&self) -> usize {
        let taken = self.taken.lock().unwrap();
        let keys: std::collections::BTreeSet<&str> = taken.iter().map(Request::key).collect();
        taken.len() - keys.len()
    }
}

fn rows_of(body: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"));
    match value {
        serde_json::Value::Array(rows) => rows.iter().map(ToString::to_string).collect(),
        row => vec![row.to_string()],
    }
}

fn serve(
    stream: &TcpStream,
    taken: &Mutex<Vec<Request>>,
    seen: &Mutex<Vec<Request>>,
    answer: &(impl Fn(usize) -> Answer + Sync),
) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let answer = answer(number);
        if !matches!(answer, Answer::Refuse(_)) {
            taken.lock().unwrap().push(request);
        }
        let status = match answer {
            Answer::Take => "204 No Content",
            Answer::HangUp => return,
            Answer::Stall => {
                std::thread::sleep(Duration::from_millis(700));
                "204 No Content"
            }
            Answer::Refuse(status) => status,
        };
        let length = if status.starts_with("204") { "" } else { "\r\ncontent-length: 7" };
        let body = if length.is_empty() { "" } else { "sorry!\n" };
        let text = format!("HTTP/1.1 {status}{length}\r\n\r\n{body}");
        let mut to = stream;
        if to.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut head = BTreeMap::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = field.trim_end().split_once(':') else { break };
        head.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; head.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Request { head, line, body: String::from_utf8(body).ok()? })
}

const ROWS: usize = 300;

/// Payments in the order of one partition.
fn job(alerts: &str, pace: &str) -> String {
    format!(
        "SET 'execution.checkpointing.interval' = '20 ms';
         SET 'pipeline.batch-size' = '10';
         CREATE TABLE payments (payment_id BIGINT, ts TIMESTAMP(3), card BIGINT, amount DECIMAL(12, 2),
           WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
           WITH ('connector' = 'generator', 'number-of-rows' = '{ROWS}', 'partitions' = '1' {pace});
         CREATE TABLE alerts (payment_id BIGINT, ts TIMESTAMP(3), amount DECIMAL(12, 2)) WITH ({alerts});
         INSERT INTO alerts SELECT payment_id, ts, amount FROM payments;"
    )
}

fn to_hook(hook: &Hook, more: &str) -> String {
    format!("'connector' = 'http', 'format' = 'json', 'url' = '{}/in/${{env:HOOK_PATH}}?a=b'{more}", hook.address)
}

fn highwater(folder: &Path, hosts: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command.env("HIGHWATER_HTTP_HOSTS", hosts).env("HOOK_PATH", "s3cret-path").env("HOOK_TOKEN", "s3cret-token");
    for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, hosts: &str, arguments: &[&str]) -> (i32, String) {
    let output = highwater(folder, hosts, arguments).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("s3cret"), "a secret is shown: {text}");
    (output.status.code().unwrap_or(-1), text)
}

/// The rows that the same job writes to a file, in their order.
fn expected(folder: &Path) -> Vec<String> {
    let files = "'connector' = 'filesystem', 'format' = 'json', 'path' = 'expected'";
    std::fs::write(folder.join("files.sql"), job(files, "")).unwrap();
    let (code, text) = run(folder, "", &["run", "files.sql", "--workers", "1"]);
    assert_eq!(code, 0, "{text}");
    let files = std::fs::read_dir(folder.join("expected")).unwrap().map(|f| f.unwrap().path());
    let mut files: Vec<_> = files.filter(|f| f.file_name().unwrap().to_string_lossy().starts_with("part-")).collect();
    files.sort();
    let texts: Vec<String> = files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let rows: Vec<String> = texts.iter().flat_map(|t| t.lines()).flat_map(rows_of).collect();
    assert_eq!(rows.len(), ROWS);
    rows
}

/// Trouble of every kind, now and then.
fn moody(number: usize) -> Answer {
    match number % 23 {
        3 => Answer::Refuse("503 Service Unavailable"),
        7 => Answer::HangUp,
        11 => Answer::Refuse("500 Internal Server Error\r\nconnection: close"),
        15 if number < 60 => Answer::Stall,
        19 if number < 30 => Answer::Refuse("429 Too Many Requests\r\nretry-after: 1"),
        _ => Answer::Take,
    }
}

#[test]
fn every_row_is_taken_in_order_by_a_hook_that_fails_stalls_and_hangs_up() {
    let folder = tempfile::tempdir().unwrap();
    let expected = expected(folder.path());
    for (batch, requests_min) in [("1", ROWS), ("4", ROWS / 5)] {
        let hook = Hook::start(moody);
        let more = format!(
            ", 'sink.batch.max-size' = '{batch}', 'request.timeout' = '400 ms', 'header.Authorization' = 'Bearer ${{env:HOOK_TOKEN}}'"
        );
        std::fs::write(folder.path().join("job.sql"), job(&to_hook(&hook, &more), "")).unwrap();
        let (code, text) = run(folder.path(), &hook.address, &["run", "job.sql", "--workers", "1"]);
        assert_eq!(code, 0, "{text}");
        assert_eq!(hook.rows(), expected, "batches of {batch}");
        assert!(hook.repeats() > 0, "nothing that was taken without an answer was sent again");
        let seen = hook.seen.lock().unwrap();
        assert!(seen.len() >= requests_min);
        for request in seen.iter() {
            assert_eq!(request.line.trim_end(), "POST /in/s3cret-path?a=b HTTP/1.1");
            assert_eq!(request.head["authorization"], "Bearer s3cret-token");
            assert_eq!(request.head["content-type"], "application/json");
            assert_eq!(request.body.starts_with('['), batch != "1", "{}", request.body);
        }
    }
}

/// Killed again and again: what comes twice has its key, and without it every row is there once; in order, of one worker.
#[test]
fn a_job_with_state_repeats_under_the_same_keys_whenever_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = expected(folder.path());
    for workers in [["1", "1", "1", "1", "1"], ["1", "2", "1", "2", "2"]] {
        let hook = Hook::start(moody);
        let more = ", 'sink.batch.max-size' = '3', 'request.timeout' = '400 ms', 'method' = 'PUT'";
        std::fs::write(folder.path().join("job.sql"), job(&to_hook(&hook, more), ", 'rows-per-second' = '100'"))
            .unwrap();
        let state = workers.concat();
        let start = |workers: &str| {
            highwater(folder.path(), &hook.address, &["run", "job.sql", "--state", &state, "--workers", workers])
        };
        for (workers, millis) in workers[1..].iter().zip([350, 500, 700, 450]) {
            let mut child = start(workers).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(millis));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(hook.rows().len() < ROWS, "it had ended before it was killed");
        let output = start(workers[0]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut rows = hook.rows();
        if workers.contains(&"2") {
            rows.sort();
            expected.sort();
        }
        assert_eq!(rows, expected, "{workers:?}");
        assert!(hook.seen.lock().unwrap().iter().all(|r| r.line.starts_with("PUT ")));
    }
}

/// A hook that is away for longer than the job without state would wait.
#[test]
fn a_job_without_state_ends_when_nobody_takes_its_rows_and_one_with_state_waits() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(|number| if number < 12 { Answer::Refuse("503 Service Unavailable") } else { Answer::Take });
    std::fs::write(folder.path().join("job.sql"), job(&to_hook(&hook, ", 'retry.timeout' = '1 s'"), "")).unwrap();
    let (code, text) = run(folder.path(), &hook.address, &["run", "job.sql", "--workers", "1"]);
    assert!(code != 0 && text.contains("answers 503") && text.contains(&hook.address), "{text}");
    assert!(hook.rows().is_empty());
    let (code, text) = run(folder.path(), &hook.address, &["run", "job.sql", "--workers", "1", "--state", "state"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(hook.rows().len(), ROWS);
}

#[test]
fn who_refuses_rows_or_may_not_be_called_ends_the_job_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (status, says) in [
        ("400 Bad Request", "answers 400: it does not take these rows"),
        ("401 Unauthorized", "check 'header.Authorization'"),
        ("413 Content Too Large", "lower 'sink.batch.max-size'"),
        ("302 Found\r\nlocation: http://127.0.0.1:1/elsewhere", "redirects are not followed"),
    ] {
        let hook = Hook::start(move |_| Answer::Refuse(status));
        std::fs::write(folder.path().join("job.sql"), job(&to_hook(&hook, ""), "")).unwrap();
        let (code, text) = run(folder.path(), &hook.address, &["run", "job.sql", "--workers", "1"]);
        assert!(code != 0 && text.contains(says) && text.contains(&hook.address), "{status}: {text}");
        assert_eq!(hook.seen.lock().unwrap().len(), 1, "{status} is sent again");
    }
    let hook = Hook::start(|_| Answer::Take);
    std::fs::write(folder.path().join("job.sql"), job(&to_hook(&hook, ""), "")).unwrap();
    for hosts in ["", "hooks.example.com", hook.address.trim_start_matches("http://")] {
        let (code, text) = run(folder.path(), hosts, &["run", "job.sql"]);
        assert!(code != 0 && text.contains(&format!("HIGHWATER_HTTP_HOSTS={}", hook.address)), "{hosts}: {text}");
    }
    assert!(hook.seen.lock().unwrap().is_empty(), "it was called though it may not be");
    let (code, text) = run(folder.path(), &hook.address, &["replay", "job.sql", "--from", "2026-01-01"]);
    assert!(code != 0 && text.contains("alerts is the address that the live job writes"), "{text}");
    let unset = ", 'header.X-Token' = '${env:HIGHWATER_NOT_SET}'";
    std::fs::write(folder.path().join("job.sql"), job(&to_hook(&hook, unset), "")).unwrap();
    let (code, text) = run(folder.path(), &hook.address, &["run", "job.sql"]);
    assert!(code != 0 && text.contains("there is no environment variable HIGHWATER_NOT_SET"), "{text}");
}
