//! What the binary asks of the operating system: signals, peak memory.

#![allow(unsafe_code)] // calls of libc without a safe wrapper among our dependencies

use crate::failure::Failure;
use highwater_engine::flow::Control;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::time::Duration;

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

/// The signals that ask for the end: Ctrl-C, `kill`, a closed terminal.
const ENDING: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// The first of them that came; 0 before.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Remembers the first signal; a second one ends the process at once.
extern "C" fn note(signal: libc::c_int) {
    if ASKED.swap(signal, SeqCst) != 0 {
        // SAFETY: it may be called in a signal handler.
        unsafe { libc::_exit(128 + signal) };
    }
}

/// From here on Ctrl-C, SIGTERM and SIGHUP ask the job to end: it removes what it staged. A second one ends the process at
/// once. A SIGHUP that is ignored (`nohup`) stays ignored.
///
/// # Errors
/// If the system refuses.
pub fn on_interrupt(control: Control) -> Result<(), Failure> {
    let fail = |e: std::io::Error| Failure::job(format!("signals can't be caught: {e}"));
    for signal in ENDING {
        catch(signal).map_err(fail)?;
    }
    let look = move || {
        while ASKED.load(SeqCst) == 0 {
            std::thread::sleep(LOOK);
        }
        control.stop();
    };
    std::thread::Builder::new().name("signals".into()).spawn(look).map_err(fail)?;
    Ok(())
}

fn catch(signal: libc::c_int) -> std::io::Result<()> {
    // SAFETY: the struct is plain, zero is valid for it, and it outlives the calls; `note` does only what a handler may.
    let done = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, std::ptr::null(), &mut action) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        if signal == libc::SIGHUP && action.sa_sigaction == libc::SIG_IGN {
            return Ok(());
        }
        action.sa_sigaction = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(signal, &action, std::ptr::null_mut())
    };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// A failed run's failure; an interruption names its signal.
pub fn explain_failure(failure: Failure) -> Failure {
    match (failure, ASKED.load(SeqCst)) {
        (Failure::Interrupted { resumable, .. }, signal @ 1..) => Failure::Interrupted { signal, resumable },
        (failure, _) => failure,
    }
}
