//! The `highwater` binary.

/// Batches come and go by the megabyte: the system's allocator gives them back to the kernel and asks again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    highwater_jobs::cli::main()
}
