//! Measures a platform of its own over gRPC on loopback, and the OCI runtime
//! alone beside it, so that figures are ratios of one run on one machine.
//!
//! Prints Markdown. It judges nothing: the targets stand beside the figures.

mod client;
mod figures;
mod measure;
mod pattern;
mod plain;
mod platform;
mod reference;
mod streams;

use std::path::PathBuf;

use clap::Parser;

/// Measure the platform beside a bare OCI runtime
#[derive(Debug, Parser)]
struct Args {
    /// The directory of the two binaries
    #[arg(long)]
    bin: PathBuf,
    /// The directory of the images; python:3.11 must be there
    #[arg(long)]
    images: PathBuf,
    /// How often each thing is measured
    #[arg(long, default_value_t = 40)]
    runs: usize,
    /// How many sandboxes are started at once
    #[arg(long, default_value_t = 50)]
    burst: usize,
    /// How much goes through each stream that is measured
    #[arg(long, default_value_t = 1024)]
    stream_mib: u64,
    /// How many streams are open on which nothing is said
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let platform = platform::Platform::start(&args.bin, &args.images).await?;
    let amount = streams::Amount {
        bytes: args.stream_mib * 1024 * 1024,
        idle: args.idle,
    };
    let measured = async {
        let starts = measure::all(&platform, &args.images, args.runs, args.burst).await?;
        anyhow::Ok((starts, streams::all(&platform, amount).await?))
    };
    let measured = measured.await;
    platform.stop().await?;
    let (starts, streams) = measured?;
    figures::print(&starts, &streams);
    Ok(())
}
