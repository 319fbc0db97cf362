//! Rebuilds the test binary when a golden script is added: `test_each_file` finds them at compile time.

fn main() {
    println!("cargo::rerun-if-changed=src/testscripts");
}
