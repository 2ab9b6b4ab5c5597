//! `palisade doctor`: whether this machine can run sandboxes, found out by
//! trying, without changing it.

use std::path::PathBuf;
use std::process::ExitCode;

use palisade_backend_linux::network::{self, Finding, Instance, Severity, examine};

use crate::cli::HostArgs;
use crate::out::Out;
use crate::parts::ingress;

/// Runs the command; fails if something that sandboxes need is missing.
pub(super) fn run(args: &HostArgs, out: &mut Out) -> ExitCode {
    let instance = Instance::derive(&args.state.state_dir.to_string_lossy());
    let mut config = network::Config::new(instance, PathBuf::from("/run/palisade"));
    match ingress::services(&args.ingress) {
        Ok(services) => config.services = services,
        Err(error) => {
            out.error(&error);
            return ExitCode::FAILURE;
        }
    }
    let findings = examine(&config);
    let rows: Vec<_> = findings.iter().map(row).collect();
    out.table(["CHECK", "RESULT", "FOUND"], &rows);
    let is_fatal = |finding: &Finding| finding.severity == Severity::Fatal;
    if findings.iter().any(is_fatal) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn row(finding: &Finding) -> [String; 3] {
    let result = match finding.severity {
        Severity::Fine => "ok",
        Severity::Warning => "warning",
        Severity::Fatal => "FAILED",
    };
    [
        finding.subject.to_owned(),
        result.to_owned(),
        finding.message.clone(),
    ]
}
