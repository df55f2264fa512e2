//! From the command line to the exit code.

use crate::args::{Cli, Verb};
use crate::compare::{Verdict, compare};
use crate::explain::explain;
use crate::failure::Failure;
use crate::generate::generate;
use crate::process::say;
use crate::run::{replay, run};
use crate::savepoint::{savepoint, verify};
use crate::validate::validate;
use clap::Parser;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// The stack of the thread that runs a verb: the planner recurses with the depth of a query.
const STACK_BYTES: usize = 64 << 20;

/// Runs the verb that the command line names.
pub fn main() -> ExitCode {
    crate::process::set_signal_actions();
    let filter = EnvFilter::try_from_env("HIGHWATER_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    let cli = Cli::parse();
    let verb = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || dispatch(&cli.verb));
    let outcome = match verb.map(std::thread::JoinHandle::join) {
        Ok(Ok(outcome)) => outcome,
        // The panic's own message is on stderr already.
        Ok(Err(_)) => Err(Failure::job("highwater panicked; this is a bug, please report it with the job file")),
        Err(e) => Err(Failure::job(format!("no thread could be started: {e}"))),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{}", block(&failure));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(verb: &Verb) -> Result<ExitCode, Failure> {
    let say = |text: String| say(&format!("{text}\n")).map(|()| ExitCode::SUCCESS);
    let coded = |(text, well): (String, bool)| say(text).map(|_| ExitCode::from(u8::from(!well)));
    match verb {
        Verb::Run(args) => run(args).map(|()| ExitCode::SUCCESS),
        Verb::Replay(args) => replay(args).map(|()| ExitCode::SUCCESS),
        Verb::Validate(args) => validate(args).and_then(coded),
        Verb::Verify(args) => verify(args).and_then(coded),
        Verb::Savepoint(args) => savepoint(args).and_then(say),
        Verb::Explain(args) => explain(args).and_then(say),
        Verb::Generate(args) => generate(args).and_then(say),
        Verb::Compare(args) => match compare(args)? {
            Verdict::Equal(text) => say(format!("equal: {text}")),
            Verdict::Different(text) => say(format!("different: {}", text.trim_end())).map(|_| ExitCode::from(1)),
        },
    }
}

/// The failure as one block. Diagnostics of a job's text say "error" after their place.
fn block(failure: &Failure) -> String {
    let text = failure.to_string();
    if matches!(failure, Failure::Usage(_)) && text.contains(": error: ") { text } else { format!("error: {text}") }
}
