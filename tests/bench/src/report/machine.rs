use serde::Serialize;

/// Where and with what it was measured. Figures of two machines are not comparable; ratios are, with care.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// The processor's own name.
    pub(crate) cpu: String,
    /// Cores this process may use.
    pub(crate) cores: usize,
    /// Operating system's kernel.
    pub(crate) kernel: String,
    /// The broker.
    pub(crate) nats_server: String,
    /// The compiler.
    pub(crate) rustc: String,
    /// What was measured; `+` for changes that are not committed.
    pub(crate) commit: String,
    /// When it began, in seconds since 1970.
    pub(crate) at: u64,
    /// Cores that were busy before it began, with something else.
    pub(crate) busy_cores: f64,
}

impl Machine {
    /// This one.
    pub(crate) fn detect() -> Self {
        let unknown = || "unknown".to_owned();
        let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpu_info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or_else(unknown, |(_, name)| name.trim().to_owned());
        let changed = said("git", &["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
        let nats_server = laban_testkit::tools::nats_server().ok();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: said("uname", &["-sr"]).unwrap_or_else(unknown),
            nats_server: nats_server
                .and_then(|path| said(&path.to_string_lossy(), &["--version"]))
                .map_or_else(unknown, |version| version.trim_start_matches("nats-server: ").to_owned()),
            rustc: said("rustc", &["--version"]).unwrap_or_else(unknown),
            commit: commit.map_or_else(unknown, |hash| if changed { hash + "+" } else { hash }),
            at: now.as_secs(),
            busy_cores: busy_cores().unwrap_or_default(),
        }
    }
}

/// How many cores are busy just now, for a second. Not the load average: that remembers the build.
fn busy_cores() -> Option<f64> {
    let before = busy_ticks(&std::fs::read_to_string("/proc/stat").ok()?)?;
    let began = std::time::Instant::now();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let after = busy_ticks(&std::fs::read_to_string("/proc/stat").ok()?)?;
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    Some(after.saturating_sub(before) as f64 / ticks_per_second / began.elapsed().as_secs_f64())
}

/// The first line's fields but for `idle` and `iowait`, the fourth and fifth.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    // The last two, of guests, are in the first two already.
    Some(ticks.iter().take(8).sum::<u64>() - idle)
}

/// What a command prints, if it succeeds.
fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(std::process::Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_ticks_are_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 3 1000 2000 4 5 6 7 8\ncpu0 1"), Some(21));
        assert_eq!(busy_ticks("intr 1"), None);
    }
}
