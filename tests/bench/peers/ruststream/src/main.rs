//! The chain on the system's allocator.

fn main() -> std::process::ExitCode {
    ruststream_chain::main()
}
