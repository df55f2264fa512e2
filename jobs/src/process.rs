//! What the binary asks of the operating system: signals, peak memory.

#![allow(unsafe_code)] // two calls of libc without a safe wrapper among our dependencies

use crate::failure::Failure;
use highwater_engine::flow::Control;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Makes a file size limit an error of the write instead of the end of the process.
///
/// SIGPIPE stays ignored, as Rust has it: the default action would end a job between two of its files. Who writes to a
/// closed pipe gets an error, which [`say`] takes for a reader that has seen enough.
pub fn set_signal_actions() {
    // SAFETY: called once, before any thread is started; the action is one the system defines.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// The largest resident set of this process so far, in bytes.
pub fn peak_rss_bytes() -> u64 {
    // SAFETY: `usage` is a plain struct for which zero is valid, and outlives the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let kib_or_bytes = usage.ru_maxrss.max(0) as u64;
    if cfg!(target_os = "macos") { kib_or_bytes } else { kib_or_bytes * 1024 }
}

/// Writes a text to stdout. A closed pipe is no error: `highwater explain … | head`.
///
/// # Errors
/// A full device, where `print!` would panic.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::job(format!("stdout can't be written: {e}"))),
        _ => Ok(()),
    }
}

/// Ctrl-C asks the job to end; a second one ends the process at once.
///
/// # Errors
/// If the system refuses the handler.
pub fn on_interrupt(control: Control) -> Result<(), Failure> {
    let asked = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if asked.swap(true, SeqCst) {
            std::process::exit(130);
        }
        control.stop();
    })
    .map_err(|e| Failure::job(format!("Ctrl-C can't be caught: {e}")))
}
