//! `laban-bench` with another allocator, for the contestants that it runs as.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    laban_bench::main(None)
}
