//! The engine's settings: the same where code is compiled and where it runs.

use std::hash::{DefaultHasher, Hash, Hasher};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, Strategy,
    WasmBacktraceDetails,
};

/// Of the WebAssembly stack of one instance, in bytes.
const STACK_BYTES: usize = 512 * 1024;
/// Per component: tools link a handful of core modules into one.
const CORE_INSTANCES: u32 = 32;
const MEMORIES: u32 = 4;
const TABLES: u32 = 32;
/// Elements of one table: interpreters keep all their functions in one.
pub(crate) const TABLE_ELEMENTS: usize = 200_000;
/// Of an instance's memory, and of its tables, stay with its place in the pool for the next one, who finds them as the
/// component says they are at the start: to write them anew costs less than to ask the kernel for them again.
const KEPT_MEMORY_BYTES: usize = 256 * 1024;
const KEPT_TABLE_BYTES: usize = 32 * 1024;
/// Bytes of the engine's own bookkeeping for one instance.
const BOOKKEEPING_BYTES: usize = 4 * 1024 * 1024;

fn config() -> Config {
    let mut config = Config::new();
    config.strategy(Strategy::Cranelift);
    config.wasm_component_model(true);
    config.epoch_interruption(true);
    config.consume_fuel(false);
    config.wasm_memory64(false);
    config.max_wasm_stack(STACK_BYTES);
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// The engine that compiles.
pub(crate) fn compiling() -> Result<Engine> {
    Engine::new(&config())
}

/// Where instances find their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// In a pool that is reserved for all of them.
    Reserved,
    /// Each asks for its own: what a pool reserves would count towards a limit on this process.
    OneByOne,
}

impl Room {
    /// What this process may have.
    pub(crate) fn here() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Data);
        if limit.current.is_some() { Self::OneByOne } else { Self::Reserved }
    }
}

/// The engine that runs at most `instances` components at once.
pub(crate) fn serving(instances: u32, room: Room) -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances * CORE_INSTANCES)
        .total_memories(instances * MEMORIES)
        .total_tables(instances * TABLES)
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_component_instance_size(BOOKKEEPING_BYTES)
        .max_core_instance_size(BOOKKEEPING_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEPT_MEMORY_BYTES)
        .table_keep_resident(KEPT_TABLE_BYTES)
        .pagemap_scan(Enabled::Auto);
    let mut config = config();
    // It compiles nothing worth a thread.
    config.parallel_compilation(false);
    if room == Room::Reserved {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    Engine::new(&config)
}

/// Names everything that compiled code depends on besides the component: engine, version, settings, processor.
pub(crate) fn fingerprint() -> Result<String> {
    let mut hasher = DefaultHasher::new();
    compiling()?.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_stable_in_one_build() {
        assert_eq!(fingerprint().unwrap(), fingerprint().unwrap());
    }

    #[test]
    fn code_of_one_engine_fits_the_other() {
        let empty = wasmtime::component::Component::new(&compiling().unwrap(), b"\0asm\x0d\0\x01\0").unwrap();
        let file = std::env::temp_dir().join(format!("wasm-engine-{}.cwasm", std::process::id()));
        std::fs::write(&file, empty.serialize().unwrap()).unwrap();
        for room in [Room::Reserved, Room::OneByOne] {
            inmate::load(&serving(2, room).unwrap(), &file).unwrap();
        }
        std::fs::remove_file(file).unwrap();
    }
}
