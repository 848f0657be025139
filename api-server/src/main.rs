//! The process. What it is made of is a library, so that its reading of requests can be tried by itself.

use std::{io, process::ExitCode};

fn main() -> io::Result<ExitCode> {
    // As the operator: tasks are short, and with more worker threads they wake each other. More pods use more cores.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;
    Ok(runtime.block_on(arxiv_api_server::main()))
}
