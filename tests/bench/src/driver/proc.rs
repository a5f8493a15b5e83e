//! What a process has used, from `/proc`: the same way for every contestant and for the broker.

use std::sync::LazyLock;

use crate::error::{Doing as _, Error, Result};

static TICKS_PER_SECOND: LazyLock<f64> = LazyLock::new(|| rustix::param::clock_ticks_per_second() as f64);

/// Seconds of CPU that a process has used so far, in user and kernel mode, all its threads.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).doing(format_args!("read {path}"))?;
    ticks(&stat)
        .map(|ticks| ticks as f64 / *TICKS_PER_SECOND)
        .ok_or_else(|| Error::new(format!("{path} is not as proc(5) has it: {stat}")))
}

/// `utime` and `stime`, fields 14 and 15; the second field, the name, may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}

/// The most memory that a process ever had resident, in MiB.
pub(super) fn peak_rss_mib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).doing(format_args!("read {path}"))?;
    high_water_kib(&status)
        .map(|kib| kib as f64 / 1024.0)
        .ok_or_else(|| Error::new(format!("{path} has no VmHWM")))
}

/// The memory that a process has resident, in bytes.
pub(crate) fn rss_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).doing(format_args!("read {path}"))?;
    kib(&status, "VmRSS:").map(|kib| kib * 1024).ok_or_else(|| Error::new(format!("{path} has no VmRSS")))
}

fn high_water_kib(status: &str) -> Option<u64> {
    kib(status, "VmHWM:")
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let stat = "4711 (a ) b) S 1 4711 4711 0 -1 4194304 100 0 0 0 120 34 0 0 20 0 3 0 100 1 2";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("no such thing"), None);
    }

    #[test]
    fn the_high_water_mark_is_read() {
        assert_eq!(high_water_kib("VmPeak:\t  100 kB\nVmHWM:\t   2048 kB\n"), Some(2048));
        assert_eq!(high_water_kib("VmPeak:\t  100 kB\n"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let me = std::process::id();
        assert!(cpu_seconds(me).unwrap() >= 0.0);
        assert!(peak_rss_mib(me).unwrap() > 0.0);
    }
}
