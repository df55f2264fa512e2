//! The one thread that drives connections: of an object store, of a table on HTTP.

use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of one thread. Calls from any thread block that thread.
#[derive(Debug)]
pub struct Driver(Option<Runtime>);

impl Driver {
    /// Starts the thread, under this name.
    pub fn start(name: &str) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name(name).enable_io().enable_time();
        Ok(Self(Some(builder.build()?)))
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("the runtime is taken only when this is dropped")
    }

    /// Runs a request to its end.
    pub fn run<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime().block_on(request)
    }

    /// Where requests can be started that run beside the caller.
    pub fn handle(&self) -> &Handle {
        self.runtime().handle()
    }
}

impl Drop for Driver {
    /// A look-up of a name that hangs must not hang the process.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
