//! What this machine has, measured.

use std::fs;
use std::io;

use palisade_model::runner::Resources;

/// CPUs and memory that sandboxes may use together.
pub(crate) fn available(reserve: Resources) -> io::Result<Resources> {
    let cpus = std::thread::available_parallelism()?.get();
    let all = Resources {
        cpu_millis: u64::try_from(cpus)
            .unwrap_or(u64::MAX)
            .saturating_mul(1_000),
        memory_bytes: memory(&fs::read_to_string("/proc/meminfo")?)
            .ok_or_else(|| io::Error::other("/proc/meminfo does not tell the memory"))?,
        gpus: 0,
    };
    Ok(all.saturating_sub(reserve))
}

/// How many processes and threads sandboxes may have together: three quarters of
/// what the kernel can number and keep. The rest is the host's.
pub(crate) fn pids_max() -> io::Result<u64> {
    let read = |name: &str| -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}"))?;
        text.trim().parse().map_err(io::Error::other)
    };
    Ok(read("pid_max")?.min(read("threads-max")?) / 4 * 3)
}

/// How many files one process of a sandbox may have open.
pub(crate) fn files_max() -> u64 {
    const USUAL: u64 = 1 << 20;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.maximum.map_or(USUAL, |maximum| maximum.min(USUAL))
}

/// The architecture, as OCI spells it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_kept_back() {
        let nothing = Resources::default();
        let all = available(nothing).unwrap();
        assert!(all.cpu_millis >= 1_000 && all.memory_bytes > 1 << 20);
        let reserve = Resources {
            cpu_millis: 1_000,
            memory_bytes: 1 << 20,
            gpus: 0,
        };
        assert_eq!(available(reserve).unwrap(), all.saturating_sub(reserve));
    }

    #[test]
    fn memory_is_counted_in_bytes() {
        assert_eq!(
            memory("MemTotal:       24684084 kB\n"),
            Some(24_684_084 * 1_024)
        );
        assert_eq!(memory("MemFree: 1 kB\n"), None);
    }
}
