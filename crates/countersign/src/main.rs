//! `countersign`: the gateway, and the command line for the people and agents who use it.

mod behind;
mod cli;
mod commands;

mod up;
mod config;
mod postgres;
mod keys;
mod public;
mod witnesses;
mod retention;

mod client;
mod sessions;
mod agents;
mod output;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A command's stack is small, its futures are large: they live on the heap.
fn main() -> ExitCode {
    let cli = cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::failed(&anyhow::Error::new(error)),
    };
    match runtime.block_on(Box::pin(commands::run(cli))) {
        Ok(ending) => ending.into(),
        Err(error) => cli::failed(&error),
    }
}
