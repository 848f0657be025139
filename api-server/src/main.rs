//! The process. What it is made of is a library, so that its reading of requests can be tried by itself.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    arxiv_api_server::main().await
}
