//! `laban-bench` with an allocator that counts, for the contestants that it runs as.

use laban_bench::Counted;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

fn main() -> std::process::ExitCode {
    laban_bench::main(Some(|| {
        let stats = ALLOCATOR.stats();
        Counted {
            allocations: (stats.allocations + stats.reallocations) as u64,
            bytes: stats.bytes_allocated as u64,
        }
    }))
}
