//! The `highwater` binary.

fn main() -> std::process::ExitCode {
    highwater_jobs::cli::main()
}
