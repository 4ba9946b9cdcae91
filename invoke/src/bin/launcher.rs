//! The launcher by itself, for this crate's tests: the platform's binary has it as a hidden subcommand.

fn main() {
    sandbox::run_launcher()
}
