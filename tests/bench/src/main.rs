//! `laban-bench`: see the README.

fn main() -> std::process::ExitCode {
    laban_bench::main(None)
}
